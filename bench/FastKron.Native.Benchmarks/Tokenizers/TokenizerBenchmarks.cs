using System.Text;
using BenchmarkDotNet.Attributes;
using BenchmarkDotNet.Configs;
using FastKron.Native.Tokenizers;

namespace FastKron.Native.Benchmarks.Tokenizers;

/// <summary>Text to ids and back on one core, on wiki.valid.raw (1.1 MB); on the licence of this repository where the shared folder is absent.</summary>
[MemoryDiagnoser]
[Config(typeof(Columns))]
public class TokenizerBenchmarks
{
    private static readonly string[] Official = ["tokenizers/llama3", "tokenizers/qwen3", "models/smollm2-135m"];

    private TokenizerDefinition _definition = null!;
    private Tokenizer _tokenizer = null!;
    private int[] _ids = [];

    /// <summary>The official tokenizers where the shared folder is there, and the shipped one.</summary>
    public static IEnumerable<string> Names =>
        Official.Where(name => BenchmarkData.Shared(name) is not null).Append("tiny-llama");

    [ParamsSource(nameof(Names))]
    public string Name { get; set; } = "";

    private static string Text { get; } =
        File.ReadAllText(BenchmarkData.Shared("text/wikitext2/wiki.valid.raw") ?? BenchmarkData.Repository("LICENSE"));

    [GlobalSetup]
    public void Setup()
    {
        string folder = Name == "tiny-llama" ? BenchmarkData.Repository("tests", "models", Name) : BenchmarkData.Shared(Name)!;
        _tokenizer = Tokenizer.Load(folder);
        _definition = TokenizerReader.ReadDefinition(_tokenizer.Path);
        _ids = _tokenizer.Encode(Text);
    }

    /// <summary>Every piece of the text is in the cache.</summary>
    [Benchmark]
    public int[] EncodeAgain() => _tokenizer.Encode(Text);

    /// <summary>The cache is empty: a tokenizer's first text.</summary>
    [Benchmark]
    public int[] EncodeFirst() => new Tokenizer(_definition, bosId: null, eosId: null, warn: null).Encode(Text);

    [Benchmark]
    public string Decode() => _tokenizer.Decode(_ids);

    /// <summary>Reads tokenizer.json; no MB/s of text.</summary>
    [Benchmark]
    public Tokenizer Load() => Tokenizer.Load(_tokenizer.Path);

    private sealed class Columns : ManualConfig
    {
        public Columns() => AddColumn(new ThroughputColumn("MB/s", benchmark =>
            benchmark.Descriptor.WorkloadMethod.Name == nameof(Load) ? double.NaN : Encoding.UTF8.GetByteCount(Text) / 1e6));
    }
}
