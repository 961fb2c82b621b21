namespace FastKron.Native.Formats;

/// <summary>Reads config.json of llama and qwen3 models, in the older spelling and in that of transformers 5.</summary>
public static class ModelConfigReader
{
    /// <summary>Reads and checks a config.json.</summary>
    /// <exception cref="InvalidDataException">Not readable, a field missing or out of range: path, field, found, expected.</exception>
    /// <exception cref="NotSupportedException">A feature that the engine has not, with what it has.</exception>
    public static ModelConfig Read(string path) => throw new NotImplementedException();
}
