using System.Text.Json.Serialization;

namespace FastKron.Native.Evaluation.Tasks;

/// <summary>Source-generated JSON of rows, one object a line.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals)]
[JsonSerializable(typeof(TaskRow))]
internal sealed partial class TaskRowJson : JsonSerializerContext;
