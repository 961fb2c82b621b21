using System.Text.Json;
using System.Text.Json.Serialization;
using FastKron.Native.Formats;

namespace FastKron.Native.Tokenizers;

/// <summary>One turn of a conversation.</summary>
/// <param name="Role">system, user or assistant.</param>
/// <param name="Content">Its text.</param>
public sealed record ChatMessage([property: JsonRequired] string Role, [property: JsonRequired] string Content)
{
    /// <summary>Reads a conversation: a JSON list of objects with <c>role</c> and <c>content</c> and nothing else.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="InvalidDataException">Missing, not JSON, an unknown or missing field: path, line, found, expected.</exception>
    public static IReadOnlyList<ChatMessage> ReadFile(string path)
    {
        const string Expected = "a list of {\"role\": \"user\", \"content\": \"text\"}";
        try
        {
            ChatMessage?[]? messages = JsonSerializer.Deserialize(JsonFields.ReadBytes(path, "give a JSON file with a list of messages"), ChatJson.Default.ChatMessageArray);
            if (messages is null || messages.Length == 0 || messages.Contains(null))
                throw MalformedFile.In(path, "messages", messages is null or { Length: 0 } ? "none" : "null", Expected, "correct the file");
            return messages!;
        }
        catch (JsonException e)
        {
            throw new InvalidDataException($"{path}: line {e.LineNumber + 1}: {e.Message.ReplaceLineEndings(" ")}; expected {Expected}; correct the file", e);
        }
    }
}

/// <summary>How conversations are read.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    RespectNullableAnnotations = true,
    AllowDuplicateProperties = false)]
[JsonSerializable(typeof(ChatMessage[]))]
internal sealed partial class ChatJson : JsonSerializerContext;
