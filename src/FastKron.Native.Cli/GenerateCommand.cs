using System.CommandLine;
using FastKron.Native.Compute;
using FastKron.Native.Formats;
using FastKron.Native.Generation;
using FastKron.Native.Models;
using FastKron.Native.Tokenizers;

namespace FastKron.Native.Cli;

/// <summary><c>fastkron generate</c>: continues a text, or answers in a conversation, with a dense or quantized model.</summary>
internal static class GenerateCommand
{
    public static Command Create()
    {
        var model = new Argument<string>("MODEL") { Description = "folder of a dense or quantized model" };
        var prompt = new Option<string?>("--prompt") { Description = "text to continue; with --chat the user's message" };
        var chat = new Option<bool>("--chat") { Description = "answer a conversation instead of continuing a text" };
        var messages = new Option<string?>("--messages") { Description = "with --chat: a conversation from a JSON file, a list of {\"role\", \"content\"}; its last message is the user's", HelpName = "FILE" };
        var system = new Option<string?>("--system") { Description = "with --chat and --prompt: the system text in front" };
        var template = new Option<string?>("--template") { Description = "with --chat: how a conversation is written, llama2, llama3 or qwen3 (default: recognised by the model's own template)" };
        template.AcceptOnlyFromAmong("llama2", "llama3", "qwen3");
        var maxTokens = new Option<int>("--max-tokens") { Description = "most new tokens", DefaultValueFactory = _ => 128 };
        var temperature = new Option<double>("--temperature") { Description = "0 for the most likely token every time, 1 for the model's own distribution", DefaultValueFactory = _ => 0 };
        var topP = new Option<double>("--top-p") { Description = "draw only from the most likely tokens that hold this share of the probability", DefaultValueFactory = _ => 1 };
        var seed = new Option<ulong>("--seed") { Description = "seed of the draws", DefaultValueFactory = _ => 0UL };
        var device = DeviceOption.Create();
        var command = new Command("generate", "Continue a text or answer in a conversation.") { model, prompt, chat, messages, system, template, maxTokens, temperature, topP, seed, device };
        command.Validators.Add(parsed =>
        {
            if (parsed.GetValue(prompt) is null == parsed.GetValue(messages) is null)
                parsed.AddError("give either --prompt TEXT or --chat --messages FILE");
            else if (!parsed.GetValue(chat) && (parsed.GetValue(messages) ?? parsed.GetValue(system) ?? parsed.GetValue(template)) is not null)
                parsed.AddError("--messages, --system and --template go with --chat");
            else if (parsed.GetValue(messages) is not null && parsed.GetValue(system) is not null)
                parsed.AddError("--system goes with --prompt; a file of messages holds its own system message");
        });
        command.SetAction((parsed, cancellationToken) =>
        {
            string path = parsed.GetRequiredValue(model);
            Tokenizer tokenizer = Tokenizer.Load(path, Output.Warn);
            string? text = parsed.GetValue(prompt);
            int[] ids;
            int[] stop = [];
            string pending = "";                 // goes before the first token, when nothing can be refused any more
            if (parsed.GetValue(chat))
            {
                ChatTemplate format = Template(parsed.GetValue(template), tokenizer);
                ids = format.Encode(parsed.GetValue(messages) is { } file ? ChatMessage.ReadFile(file) : Question(parsed.GetValue(system), text!));
                stop = [format.EndOfTurn];
            }
            else
            {
                ids = tokenizer.Encode(text, addSpecialTokens: true);
                pending = text!;
            }
            using IBackend backend = DeviceOption.Open(parsed.GetValue(device));
            using ModelFolder folder = ModelFolder.Open(path);
            using DecoderModel decoder = DecoderModel.Load(folder, backend);
            var options = new GenerationOptions
            {
                MaxTokens = parsed.GetValue(maxTokens),
                Temperature = parsed.GetValue(temperature),
                TopP = parsed.GetValue(topP),
                Seed = parsed.GetValue(seed),
                StopTokens = stop,
            };
            TokenStreamDecoder stream = tokenizer.CreateStreamDecoder(skipSpecialTokens: true, continuation: stop.Length == 0);
            new TextGenerator(decoder, tokenizer.VocabularySize).Generate(ids, options, token => Write(stream.Append(token)), cancellationToken);
            Write(stream.Flush());
            Console.WriteLine();
            return Task.FromResult(0);

            void Write(string piece)
            {
                Console.Write(pending + piece);
                pending = "";
            }
        });
        return command.WithExamples(
            "fastkron generate tests/models/tiny-llama --prompt \"The old man walked\" --max-tokens 8 --device cpu",
            "fastkron generate OUT --prompt \"The old man walked\" --temperature 0.8 --top-p 0.95 --seed 7",
            "fastkron generate CHAT-MODEL --chat --prompt \"Who are you?\" --system \"Answer in one line.\"");
    }

    private static ChatTemplate Template(string? name, Tokenizer tokenizer) =>
        name is null ? ChatTemplate.Recognise(tokenizer) : new ChatTemplate(Enum.Parse<ChatFormat>(name, ignoreCase: true), tokenizer);

    private static ChatMessage[] Question(string? system, string text) =>
        system is null ? [new ChatMessage("user", text)] : [new ChatMessage("system", system), new ChatMessage("user", text)];
}
