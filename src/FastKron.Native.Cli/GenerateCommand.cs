using System.CommandLine;
using FastKron.Native.Compute;
using FastKron.Native.Formats;
using FastKron.Native.Generation;
using FastKron.Native.Models;
using FastKron.Native.Tokenizers;

namespace FastKron.Native.Cli;

/// <summary><c>fastkron generate</c>: continues a prompt with a dense or quantized model.</summary>
internal static class GenerateCommand
{
    public static Command Create()
    {
        var model = new Argument<string>("MODEL") { Description = "folder of a dense or quantized model" };
        var prompt = new Option<string>("--prompt") { Description = "text to continue", Required = true };
        var maxTokens = new Option<int>("--max-tokens") { Description = "most new tokens", DefaultValueFactory = _ => 128 };
        var temperature = new Option<double>("--temperature") { Description = "0 for the most likely token every time, 1 for the model's own distribution", DefaultValueFactory = _ => 0 };
        var topP = new Option<double>("--top-p") { Description = "draw only from the most likely tokens that hold this share of the probability", DefaultValueFactory = _ => 1 };
        var seed = new Option<ulong>("--seed") { Description = "seed of the draws", DefaultValueFactory = _ => 0UL };
        var device = DeviceOption.Create();
        var command = new Command("generate", "Continue a text.") { model, prompt, maxTokens, temperature, topP, seed, device };
        command.SetAction((parsed, cancellationToken) =>
        {
            using IBackend backend = DeviceOption.Open(parsed.GetValue(device));
            string path = parsed.GetRequiredValue(model);
            using ModelFolder folder = ModelFolder.Open(path);
            Tokenizer tokenizer = Tokenizer.Load(path, Output.Warn);
            using DecoderModel decoder = DecoderModel.Load(folder, backend);
            var options = new GenerationOptions { MaxTokens = parsed.GetValue(maxTokens), Temperature = parsed.GetValue(temperature), TopP = parsed.GetValue(topP), Seed = parsed.GetValue(seed) };
            string text = parsed.GetRequiredValue(prompt);
            var stream = tokenizer.CreateStreamDecoder(skipSpecialTokens: true);
            Console.Write(text);
            new TextGenerator(decoder, tokenizer.VocabularySize).Generate(tokenizer.Encode(text, addSpecialTokens: true), options, token => Console.Write(stream.Append(token)), cancellationToken);
            Console.WriteLine(stream.Flush());
            return Task.FromResult(0);
        });
        return command;
    }
}
