using System.Security.Cryptography;
using System.Text;
using FastKron.Native.Formats;

namespace FastKron.Native.Tokenizers;

/// <summary>Writes a conversation as the text that a model was trained on.</summary>
/// <remarks>
/// Named built-in formats, not an interpreter of the Jinja text in tokenizer_config.json: Qwen-3's alone uses namespaces, slices, tests, filters and string
/// methods, so that interpreting it would be a programming language run on a downloaded file, for three formats that are a page of C# and are tested
/// against what Jinja gives. A template is recognised by its SHA-256 or, for LLaMA-2, whose official tokenizer has none, must be named; one that is not
/// known is refused, never approximated. Tools and <c>enable_thinking</c> are left out.
/// Sources: LLaMA-2, Touvron et al., arXiv:2307.09288, appendix A.3.3 and Meta's published prompt format; the templates of Meta-Llama-3-8B-Instruct and Qwen3-8B.
/// </remarks>
public sealed class ChatTemplate
{
    private const string ConfigName = "tokenizer_config.json", TemplateName = "chat_template.jinja";
    private const string SystemRole = "system", UserRole = "user", AssistantRole = "assistant";

    private static readonly Dictionary<string, ChatFormat> Known = new(StringComparer.Ordinal)
    {
        ["ba03a121d097859c7b5b9cd03af99aafe95275210d2876f642ad9929a150f122"] = ChatFormat.Llama3,
        ["87a2728cb8dc9fe424d624542f6060ec05a1d285ebbec578bb078900e33396b5"] = ChatFormat.Qwen3,
    };

    private readonly Tokenizer _tokenizer;
    private readonly int _endOfTurn;

    /// <summary>A format with the tokens of a tokenizer.</summary>
    /// <exception cref="InvalidDataException">The tokenizer lacks a token of the format.</exception>
    public ChatTemplate(ChatFormat format, Tokenizer tokenizer)
    {
        (Format, _tokenizer) = (format, tokenizer);
        string[] tokens = format switch
        {
            ChatFormat.Llama2 => ["<s>", "</s>"],
            ChatFormat.Llama3 => ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
            ChatFormat.Qwen3 => ["<|im_start|>", "<|im_end|>"],
            _ => throw new ArgumentOutOfRangeException(nameof(format)),
        };
        foreach (string token in tokens)
        {
            _endOfTurn = tokenizer.Find(token)
                ?? throw MalformedFile.In(tokenizer.Path, "tokens", $"no {token}", $"the tokens of the {format} format: {string.Join(' ', tokens)}", "give a chat model, or name its own format");
        }
    }

    /// <summary>Which format it is.</summary>
    public ChatFormat Format { get; }

    /// <summary>The token that ends an answer; generation stops there.</summary>
    public int EndOfTurn => _endOfTurn;

    /// <summary>Recognises the template of a model folder: chat_template.jinja, else <c>chat_template</c> of tokenizer_config.json.</summary>
    /// <exception cref="NotSupportedException">None, or one that is not known: path, what is supported.</exception>
    public static ChatTemplate Recognise(Tokenizer tokenizer)
    {
        const string Cure = "supported are the templates of Meta-Llama-3-Instruct and Qwen3; name a format that fits: llama2, llama3 or qwen3";
        string folder = Path.GetDirectoryName(tokenizer.Path)!, path = Path.Combine(folder, TemplateName), config = Path.Combine(folder, ConfigName);
        string? template = null;
        if (File.Exists(path))
            template = File.ReadAllText(path);
        else if (File.Exists(path = config))
            template = JsonFields.Read(config, root => root.Text("chat_template"));
        if (template is null)
            throw new NotSupportedException($"{path}: found no chat template; {Cure}");
        string hash = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(template)));
        return Known.TryGetValue(hash, out ChatFormat format) ? new ChatTemplate(format, tokenizer)
            : throw new NotSupportedException($"{path}: found a chat template that is not known (SHA-256 {hash}); {Cure}");
    }

    /// <summary>Ids of a conversation and of the beginning of the answer to it.</summary>
    /// <param name="messages">As <see cref="Render"/>; the last one is the user's.</param>
    /// <exception cref="ArgumentException">No conversation that an answer can follow.</exception>
    public int[] Encode(IReadOnlyList<ChatMessage> messages)
    {
        if (messages.Count == 0 || messages[^1].Role != UserRole)
            throw new ArgumentException($"messages: found {(messages.Count == 0 ? "none" : $"{messages[^1].Role} last")}, expected a {UserRole} message last, to be answered");
        return _tokenizer.Encode(Render(messages, addGenerationPrompt: true), addSpecialTokens: false);
    }

    /// <summary>A conversation as text; special tokens are spelled out, so none are to be added when it is encoded.</summary>
    /// <param name="messages">At most one system message, first; then user and assistant.</param>
    /// <param name="addGenerationPrompt">Also writes what introduces the assistant's next message.</param>
    /// <exception cref="ArgumentException">Another role, or an order that the format has not.</exception>
    public string Render(IReadOnlyList<ChatMessage> messages, bool addGenerationPrompt)
    {
        for (int i = 0; i < messages.Count; i++)
        {
            string role = messages[i].Role;
            if (role is not (SystemRole or UserRole or AssistantRole) || (role == SystemRole && i > 0))
                throw new ArgumentException($"message {i + 1}: found role {MalformedFile.Quote(role)}, expected {UserRole} or {AssistantRole}, or {SystemRole} in message 1");
        }
        return Format switch
        {
            ChatFormat.Llama2 => RenderLlama2(messages),
            ChatFormat.Llama3 => RenderLlama3(messages, addGenerationPrompt),
            _ => RenderQwen3(messages, addGenerationPrompt),
        };
    }

    // The system text is part of the first user message. [/INST] ends a user message, so an answer needs no introduction.
    private static string RenderLlama2(IReadOnlyList<ChatMessage> messages)
    {
        int first = messages is [{ Role: SystemRole }, ..] ? 1 : 0;
        if (messages.Count == first)
            throw new ArgumentException($"messages: found no {UserRole} message, expected one: LLaMA-2 writes the system text into it");
        StringBuilder text = new();
        for (int i = first; i < messages.Count; i++)
        {
            string expected = (i - first) % 2 == 0 ? UserRole : AssistantRole, content = messages[i].Content;
            if (messages[i].Role != expected)
                throw new ArgumentException($"message {i + 1}: found role {messages[i].Role}, expected {expected}: LLaMA-2's turns alternate");
            if (expected == AssistantRole)
            {
                text.Append(' ').Append(Strip(content)).Append(" </s>");
                continue;
            }
            if (i == first && first == 1)
                content = $"<<SYS>>\n{messages[0].Content}\n<</SYS>>\n\n{content}";
            text.Append("<s>[INST] ").Append(Strip(content)).Append(" [/INST]");
        }
        return text.ToString();
    }

    private static string RenderLlama3(IReadOnlyList<ChatMessage> messages, bool addGenerationPrompt)
    {
        StringBuilder text = new(messages.Count > 0 ? "<|begin_of_text|>" : "");
        foreach (ChatMessage message in messages)
            text.Append("<|start_header_id|>").Append(message.Role).Append("<|end_header_id|>\n\n").Append(Strip(message.Content)).Append("<|eot_id|>");
        return text.Append(addGenerationPrompt ? "<|start_header_id|>assistant<|end_header_id|>\n\n" : "").ToString();
    }

    // Answers up to the last question lose their reasoning; later ones (to tool responses) keep it.
    private static string RenderQwen3(IReadOnlyList<ChatMessage> messages, bool addGenerationPrompt)
    {
        int lastQuery = messages.Count - 1;
        while (lastQuery >= 0 && !IsQuery(messages[lastQuery]))
            lastQuery--;
        if (lastQuery < 0)
            lastQuery = messages.Count - 1;
        StringBuilder text = new();
        for (int i = 0; i < messages.Count; i++)
        {
            string content = messages[i].Content;
            text.Append("<|im_start|>").Append(messages[i].Role).Append('\n');
            if (messages[i].Role == AssistantRole)
            {
                string reasoning;
                (reasoning, content) = SplitReasoning(content);
                if (i > lastQuery && (i == messages.Count - 1 || reasoning.Length > 0))
                    text.Append("<think>\n").Append(reasoning.Trim('\n')).Append("\n</think>\n\n").Append(content.TrimStart('\n'));
                else
                    text.Append(content);
            }
            else
            {
                text.Append(content);
            }
            text.Append("<|im_end|>\n");
        }
        return text.Append(addGenerationPrompt ? "<|im_start|>assistant\n" : "").ToString();

        static bool IsQuery(ChatMessage message) => message.Role == UserRole
            && !(message.Content.StartsWith("<tool_response>", StringComparison.Ordinal) && message.Content.EndsWith("</tool_response>", StringComparison.Ordinal));
    }

    private static (string Reasoning, string Content) SplitReasoning(string content)
    {
        const string Begin = "<think>", End = "</think>";
        int end = content.IndexOf(End, StringComparison.Ordinal);
        if (end < 0)
            return ("", content);
        string before = content[..end].TrimEnd('\n');
        int begin = before.LastIndexOf(Begin, StringComparison.Ordinal);
        return ((begin < 0 ? before : before[(begin + Begin.Length)..]).TrimStart('\n'), content[(content.LastIndexOf(End, StringComparison.Ordinal) + End.Length)..].TrimStart('\n'));
    }

    // str.strip() of Python: .NET's white space and the separators U+001C to U+001F.
    private static string Strip(string text)
    {
        int start = 0, end = text.Length;
        while (start < end && IsSpace(text[start]))
            start++;
        while (end > start && IsSpace(text[end - 1]))
            end--;
        return text[start..end];

        static bool IsSpace(char c) => char.IsWhiteSpace(c) || c is >= '\u001C' and <= '\u001F';
    }
}
