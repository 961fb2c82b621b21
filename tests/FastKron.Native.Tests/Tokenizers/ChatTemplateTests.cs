using System.Text.Json.Nodes;
using FastKron.Native.Tests.Formats;
using FastKron.Native.Tokenizers;
using NUnit.Framework;

namespace FastKron.Native.Tests.Tokenizers;

public sealed class ChatTemplateTests
{
    private static ChatMessage User(string content) => new("user", content);

    private static ChatMessage Assistant(string content) => new("assistant", content);

    private static ChatMessage System(string content) => new("system", content);

    // What Jinja makes of the templates in the shared tokenizer_config.json files: see Golden/README.md.
    [TestCase("llama3", ChatFormat.Llama3)]
    [TestCase("qwen3", ChatFormat.Qwen3)]
    public void Render_GoldenConversations_GivesWhatTheTemplateGives(string name, ChatFormat format)
    {
        ChatTemplate template = ChatTemplate.Recognise(SharedTokenizers.Load($"tokenizers/{name}"));
        Assert.That(template.Format, Is.EqualTo(format));
        JsonArray cases = JsonNode.Parse(GoldenFile.Read("chat_templates.json"))!.AsArray();
        Assert.That(cases, Has.Count.GreaterThan(12));
        Assert.Multiple(() =>
        {
            foreach (JsonNode? item in cases)
            {
                ChatMessage[] messages = [.. item!["messages"]!.AsArray().Select(m => new ChatMessage((string)m!["role"]!, (string)m["content"]!))];
                Assert.That(template.Render(messages, (bool)item["add_generation_prompt"]!), Is.EqualTo((string)item[name]!), item["messages"]!.ToJsonString());
            }
        });
    }

    // The official LLaMA-2 tokenizer has no template; these follow Meta's description: <s>[INST] <<SYS>>\nS\n<</SYS>>\n\nU [/INST] A </s>.
    [Test]
    public void Render_LlamaTwo_PutsTheSystemTextIntoTheFirstQuestion()
    {
        ChatTemplate template = new(ChatFormat.Llama2, SharedTokenizers.Load("tokenizers/llama2"));
        Assert.Multiple(() =>
        {
            Assert.That(template.Render([User(" Hi \n")], true), Is.EqualTo("<s>[INST] Hi [/INST]"));
            Assert.That(template.Render([System("Be brief."), User("2+2?")], true), Is.EqualTo("<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\n2+2? [/INST]"));
            Assert.That(template.Render([System("S"), User("U1"), Assistant(" A1\n"), User("U2")], true),
                Is.EqualTo("<s>[INST] <<SYS>>\nS\n<</SYS>>\n\nU1 [/INST] A1 </s><s>[INST] U2 [/INST]"));
            Assert.That(template.Render([User("U1"), Assistant("A1")], false), Is.EqualTo("<s>[INST] U1 [/INST] A1 </s>"));
        });
        Assert.That(template.EndOfTurn, Is.EqualTo(2));
        int[] ids = template.Encode([User("U1"), Assistant("A1"), User("U2")]);
        Assert.That(ids.Select((id, i) => (id, i)).Where(p => p.id is 1 or 2).Select(p => p.id), Is.EqualTo(new[] { 1, 2, 1 }), "<s>, </s>, <s> and no other");
    }

    [Test]
    public void Encode_LlamaThree_HasOneBosAndTheHeadersAsTokens()
    {
        ChatTemplate template = ChatTemplate.Recognise(SharedTokenizers.Load("tokenizers/llama3"));
        // <|begin_of_text|> <|start_header_id|> user <|end_header_id|> \n\n Hi <|eot_id|> <|start_header_id|> assistant <|end_header_id|> \n\n
        Assert.That(template.Encode([User("Hi")]), Is.EqualTo(new[] { 128000, 128006, 882, 128007, 271, 13347, 128009, 128006, 78191, 128007, 271 }));
        Assert.That(template.EndOfTurn, Is.EqualTo(128009));
    }

    [Test]
    public void Render_BadConversation_SaysWhichMessage()
    {
        ChatTemplate llama2 = new(ChatFormat.Llama2, SharedTokenizers.Load("tokenizers/llama2"));
        Assert.Multiple(() =>
        {
            Refused([User("a"), System("b")], "message 2");
            Refused([new ChatMessage("tool", "a")], "'tool'");
            Refused([User("a"), User("b")], "message 2");
            Refused([Assistant("a")], "message 1");
            Refused([System("a")], "no user message");
            Assert.That(() => llama2.Encode([]), Throws.ArgumentException.With.Message.Contains("none"));
            Assert.That(() => llama2.Encode([User("a"), Assistant("b")]), Throws.ArgumentException.With.Message.Contains("assistant last"));
        });

        void Refused(ChatMessage[] messages, string named) => Assert.That(() => llama2.Render(messages, true), Throws.ArgumentException.With.Message.Contains(named));
    }

    [Test]
    public void Recognise_UnknownOrNoTemplate_NamesFileAndFormats()
    {
        using TokenizerFolder folder = new(_ => { });
        Tokenizer tokenizer = folder.Load();
        Assert.That(() => ChatTemplate.Recognise(tokenizer), Throws.TypeOf<NotSupportedException>().With.Message.Contains("tokenizer_config.json").And.Message.Contains("llama2, llama3 or qwen3"));
        string file = Path.Combine(folder.Path, "chat_template.jinja");
        File.WriteAllText(file, "{{ messages[0].content }}");
        Assert.That(() => ChatTemplate.Recognise(tokenizer), Throws.TypeOf<NotSupportedException>().With.Message.StartsWith(file).And.Message.Contains("SHA-256"));
        Assert.That(() => new ChatTemplate(ChatFormat.Qwen3, tokenizer), Throws.TypeOf<InvalidDataException>().With.Message.Contains("<|im_start|>"));
    }

    [Test]
    public void ReadFile_Conversation_GivesItsMessages()
    {
        using TemporaryFolder folder = new();
        string path = folder.File("chat.json");
        File.WriteAllText(path, """[{"role": "system", "content": "S"}, {"content": "U\nV", "role": "user"}]""");
        Assert.That(ChatMessage.ReadFile(path), Is.EqualTo(new[] { System("S"), User("U\nV") }));
    }

    [TestCase("", "line 1")]
    [TestCase("[]", "none")]
    [TestCase("[null]", "null")]
    [TestCase("{}", "line 1")]
    [TestCase("[{\"role\": \"user\"}]", "content")]
    [TestCase("[\n{\"role\": \"user\", \"content\": \"a\",\n\"name\": \"b\"}]", "line 3")]
    [TestCase("[\n{\"role\": \"user\",\n\n\"content\": 5}]", "line 4")]
    [TestCase("[{\"role\": \"user\", \"content\": null}]", "line 1")]
    [TestCase("[{\"role\": \"user\", \"role\": \"user\", \"content\": \"a\"}]", "line 1")]
    public void ReadFile_Malformed_NamesFileAndLine(string json, string named)
    {
        using TemporaryFolder folder = new();
        string path = folder.File("chat.json");
        File.WriteAllText(path, json);
        Assert.That(() => ChatMessage.ReadFile(path), Throws.TypeOf<InvalidDataException>().With.Message.StartsWith(path).And.Message.Contains(named).And.Message.Not.Contains("\n"));
    }
}
