using FastKron.Native.Reports;

namespace FastKron.Native.Evaluation.Tasks;

/// <summary>The mean accuracy that published tables give, where all of its tasks were measured, and else that of all tasks.</summary>
/// <param name="BosMode">BOS mode of the tasks.</param>
/// <param name="Tasks">How many tasks.</param>
/// <param name="Acc">Unweighted mean of their <c>acc</c>.</param>
/// <param name="AccError">Its standard error; tasks are independent.</param>
public sealed record TaskAverage(string BosMode, int Tasks, double Acc, double AccError)
{
    /// <summary>The averages of a report, one for each BOS mode with more than one task.</summary>
    public static IEnumerable<TaskAverage> Of(EvaluationReport report)
    {
        foreach (IGrouping<string, TaskReport> mode in report.Tasks.GroupBy(t => t.BosMode))
        {
            TaskReport[] tasks = Averaged([.. mode]);
            if (tasks.Length > 1)
                yield return Of(tasks);
        }
    }

    /// <summary>The average of tasks of one BOS mode.</summary>
    public static TaskAverage Of(IReadOnlyList<TaskReport> tasks)
        => new(tasks[0].BosMode, tasks.Count, tasks.Average(t => t.Acc), Math.Sqrt(tasks.Sum(t => t.AccError * t.AccError)) / tasks.Count);

    /// <summary>The tasks of an average: the published five where they are there, else all.</summary>
    public static TaskReport[] Averaged(IReadOnlyList<TaskReport> tasks)
    {
        TaskReport[] published = [.. tasks.Where(t => ZeroShotTasks.Published.Contains(t.Task))];
        return published.Length == ZeroShotTasks.Published.Count ? published : [.. tasks];
    }
}
