"""Logits of Hugging Face transformers for TransformersTests: of a folder that we wrote, or of a small random model that transformers writes.

    logits.py check                        whether transformers is installed
    logits.py load FOLDER IDS OUT          loads FOLDER
    logits.py make llama|qwen3 FOLDER IDS OUT   makes a model, saves it to FOLDER in shards, loads it again

IDS is a JSON list of token ids, OUT the float32 logits (tokens, vocabulary), raw. Exit code 3: transformers is not installed.
"""
import json
import sys

try:
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM
except ImportError as error:
    print(error, file=sys.stderr)
    sys.exit(3)

SHAPE = dict(
    vocab_size=512, hidden_size=128, intermediate_size=320, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, head_dim=32,
    max_position_embeddings=512, initializer_range=0.2, bos_token_id=1, eos_token_id=2)


def make(kind, folder):
    torch.manual_seed(0)
    if kind == "llama":
        rope = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}
        model = LlamaForCausalLM(LlamaConfig(**SHAPE, tie_word_embeddings=False, rope_parameters=rope))
    else:
        model = Qwen3ForCausalLM(Qwen3Config(**SHAPE, tie_word_embeddings=True))
    model.to(torch.bfloat16).save_pretrained(folder, max_shard_size="300KB")


def main():
    arguments = sys.argv[1:]
    if arguments == ["check"]:
        return
    if arguments[0] == "make":
        make(arguments[1], arguments[2])
        arguments = arguments[1:]
    folder, ids, out = arguments[1:]
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        logits = model(torch.tensor([json.load(open(ids))])).logits[0]
    logits.float().numpy().tofile(out)


main()
