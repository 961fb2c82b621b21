using System.Text.Json.Nodes;
using FastKron.Native.Tests.Formats;
using NUnit.Framework;

namespace FastKron.Native.Tests.Cli;

public sealed class GenerateCommandTests
{
    [Test]
    public void Generate_Chat_WritesTheAnswerAlone()
    {
        using TemporaryFolder folder = new();
        string model = ChatModel(folder.File("model")), messages = folder.File("chat.json");
        File.WriteAllText(messages, """[{"role": "system", "content": "Tell a story."}, {"role": "user", "content": "Who was there?"}]""");
        FastkronResult whole = FastkronProcess.Run("generate", model, "--chat", "--template", "llama3", "--messages", messages, "--max-tokens", "6", "--device", "cpu");
        FastkronResult parts = FastkronProcess.Run(
            "generate", model, "--chat", "--template", "llama3", "--system", "Tell a story.", "--prompt", "Who was there?", "--max-tokens", "6", "--device", "cpu");
        Assert.That((whole.ExitCode, whole.Error), Is.EqualTo((0, "")));
        Assert.That(whole.Output.Trim(), Is.Not.Empty.And.Not.Contains("Who was there?").And.Not.Contains("<|"));
        Assert.That(parts.Output, Is.EqualTo(whole.Output));
    }

    [Test]
    public void Generate_ChatWithoutTemplate_NamesTheOptions()
    {
        FastkronResult result = FastkronProcess.Run("generate", SharedData.Model("tiny-llama"), "--chat", "--prompt", "x");
        Assert.That(result.ExitCode, Is.EqualTo(1));
        Assert.That(result.Error, Does.Contain("tokenizer_config.json").And.Contain("llama2, llama3 or qwen3").And.Not.Contain("   at "));
    }

    [TestCase]
    [TestCase("--prompt", "a", "--messages", "b")]
    [TestCase("--prompt", "a", "--system", "b")]
    [TestCase("--chat", "--messages", "a", "--system", "b")]
    [TestCase("--chat", "--prompt", "a", "--template", "chatml")]
    public void Generate_OptionsThatDoNotGoTogether_ExitsWith2(params string[] options)
    {
        FastkronResult result = FastkronProcess.Run(["generate", SharedData.Model("tiny-llama"), .. options]);
        Assert.That(result.ExitCode, Is.EqualTo(2), result.Error);
    }

    [TestCase("--temperature", "-1")]
    [TestCase("--top-p", "1.5")]
    [TestCase("--max-tokens", "600")]
    [TestCase("--max-tokens", "-3")]
    public void Generate_OptionOutOfRange_WritesNoResult(params string[] option)
    {
        FastkronResult result = FastkronProcess.Run(["generate", SharedData.Model("tiny-llama"), "--prompt", "The old man", "--device", "cpu", .. option]);
        Assert.That((result.ExitCode, result.Output), Is.EqualTo((2, "")), result.Error);
        Assert.That(result.Error.TrimEnd().Split('\n'), Has.Length.EqualTo(1), "one line");
    }

    // tiny-llama with the last three tokens of its vocabulary renamed to LLaMA-3's.
    private static string ChatModel(string folder)
    {
        Directory.CreateDirectory(folder);
        foreach (string file in Directory.GetFiles(SharedData.Model("tiny-llama")))
            File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
        string path = Path.Combine(folder, "tokenizer.json");
        JsonNode root = JsonNode.Parse(File.ReadAllBytes(path))!;
        string[] names = ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"];
        for (int i = 0; i < names.Length; i++)
            root["added_tokens"]!.AsArray().Add(new JsonObject { ["id"] = 2045 + i, ["content"] = names[i], ["special"] = true, ["normalized"] = false });
        File.WriteAllText(path, root.ToJsonString());
        return folder;
    }
}
