using System.Diagnostics;

namespace FastKron.Native.Evaluation.Tasks;

/// <summary>Scores many sequences, in groups that begin alike: <see cref="SequenceScorer.Score"/>, or what a test puts in its place.</summary>
/// <param name="groups">Groups of sequences.</param>
/// <param name="greedy">Whether <see cref="SequenceScore.IsGreedy"/> is asked.</param>
/// <param name="progress">Receives the fraction done.</param>
/// <param name="cancellationToken">Stops it.</param>
public delegate SequenceScore[][] ScoreSequences(
    IReadOnlyList<IReadOnlyList<ScoredSequence>> groups, bool greedy, IProgress<double>? progress, CancellationToken cancellationToken);

/// <summary>A task, encoded and ready to be scored.</summary>
public sealed class TaskMeasure
{
    private readonly TaskFile _file;
    private readonly BosMode _mode;
    private readonly IReadOnlyList<TaskDocument> _documents;
    private readonly ScoredSequence[][] _groups;
    private readonly int _truncated;

    /// <summary>Encodes the documents.</summary>
    /// <param name="file">The task.</param>
    /// <param name="encoder">Makes tokens of choices.</param>
    /// <param name="limit">Only the first so many documents; null for all.</param>
    /// <exception cref="InvalidDataException">A document cannot be scored: file, document, why.</exception>
    public TaskMeasure(TaskFile file, ChoiceEncoder encoder, int? limit = null)
    {
        (_file, _mode) = (file, encoder.Mode);
        _documents = [.. file.Documents.Take(limit ?? int.MaxValue)];
        _groups = new ScoredSequence[_documents.Count][];
        for (int d = 0; d < _groups.Length; d++)
        {
            bool cut = false;
            try
            {
                _groups[d] = [.. _documents[d].Choices.Select(choice =>
                {
                    ScoredSequence sequence = encoder.Encode(choice, out bool truncated);
                    cut |= truncated;
                    return sequence;
                })];
            }
            catch (InvalidDataException e)
            {
                throw new InvalidDataException($"{file.Path}: document {d} ({_documents[d].Id}): {e.Message}; correct the file", e);
            }
            _truncated += cut ? 1 : 0;
        }
    }

    /// <summary>Name for progress: the task, and the BOS mode where it is not none.</summary>
    public string Name => _mode == BosMode.None ? _file.Task.Name : $"{_file.Task.Name}, BOS";

    /// <summary>Scores all documents.</summary>
    /// <param name="score">The model.</param>
    /// <param name="progress">Receives the fraction done.</param>
    /// <param name="cancellationToken">Stops it.</param>
    /// <exception cref="ArithmeticException">A log-likelihood is NaN: task, document, choice.</exception>
    public (TaskReport Report, IReadOnlyList<TaskRow> Rows) Run(ScoreSequences score, IProgress<double>? progress = null, CancellationToken cancellationToken = default)
    {
        long start = Stopwatch.GetTimestamp();
        SequenceScore[][] scores = score(_groups, _file.Task.Kind == TaskKind.LastWord, progress, cancellationToken);
        TaskRow[] rows = [.. _documents.Select((document, d) => Row(d, document, _groups[d], scores[d]))];
        return (Summarise(rows, Stopwatch.GetElapsedTime(start).TotalSeconds), rows);
    }

    private TaskRow Row(int number, TaskDocument document, ScoredSequence[] sequences, SequenceScore[] scores)
    {
        double[] likelihoods = [.. scores.Select(s => s.LogLikelihood)];
        int broken = Array.FindIndex(likelihoods, double.IsNaN);
        if (broken >= 0)
            throw new ArithmeticException($"{_file.Task.Name}: document {number} ({document.Id}), choice {broken}: the log-likelihood is NaN, so the model's activations overflow; no accuracy is reported");
        int[] characters = [.. document.Choices.Select(c => c.Characters)];
        int prediction = _file.Task.Kind == TaskKind.LastWord ? (scores[0].IsGreedy ? 0 : -1) : FirstMaximum(likelihoods);
        int normalized = FirstMaximum([.. likelihoods.Zip(characters, (l, c) => l / c)]);
        return new TaskRow
        {
            Doc = number,
            Id = document.Id,
            LogLikelihoods = likelihoods,
            Tokens = [.. sequences.Select(s => s.Targets.Length)],
            Characters = characters,
            Bytes = [.. document.Choices.Select(c => c.Bytes)],
            Prediction = prediction,
            Gold = document.Gold,
            Acc = prediction == document.Gold ? 1 : 0,
            AccNorm = _file.Task.IsNormalized ? (normalized == document.Gold ? 1 : 0) : null,
        };
    }

    private TaskReport Summarise(TaskRow[] rows, double seconds)
    {
        double[] acc = [.. rows.Select(r => (double)r.Acc)];
        double[]? normalized = _file.Task.IsNormalized ? [.. rows.Select(r => (double)r.AccNorm!.Value)] : null;
        double[]? losses = _file.Task.Kind == TaskKind.LastWord ? [.. rows.Select(r => -r.LogLikelihoods[0])] : null;
        double? perplexity = losses is null ? null : Math.Exp(Statistics.Mean(losses));
        return new TaskReport
        {
            Task = _file.Task.Name,
            Version = _file.Task.Version,
            Protocol = _file.Task.Protocol,
            BosMode = _mode.ToText(),
            File = _file.Path,
            FileHash = _file.Hash,
            FileDocuments = _file.Documents.Count,
            Split = _file.Split?.Name,
            Documents = rows.Length,
            TruncatedDocuments = _truncated,
            Acc = Statistics.Mean(acc),
            AccError = Statistics.StandardError(acc),
            AccNorm = normalized is null ? null : Statistics.Mean(normalized),
            AccNormError = normalized is null ? null : Statistics.StandardError(normalized),
            Perplexity = perplexity,
            PerplexityError = losses is null ? null : perplexity * Statistics.StandardError(losses),
            Tokens = _groups.Sum(g => g.Sum(s => (long)s.Input.Length)),
            Seconds = seconds,
        };
    }

    private static int FirstMaximum(double[] values)
    {
        int best = 0;
        for (int i = 1; i < values.Length; i++)
            best = values[i] > values[best] ? i : best;
        return best;
    }
}
