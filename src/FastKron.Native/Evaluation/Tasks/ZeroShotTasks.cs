using FastKron.Native.Formats;

namespace FastKron.Native.Evaluation.Tasks;

/// <summary>The tasks that can be measured.</summary>
/// <remarks>Prompts: evaluation.md sections 2 and 7. Fields are inserted as they are, but in HellaSwag, whose text is cleaned.</remarks>
public static class ZeroShotTasks
{
    /// <summary>All tasks.</summary>
    public static IReadOnlyList<TaskDefinition> All { get; } =
    [
        new("answerKey", ReadArc)
        {
            Name = "arc_easy", Version = "1.0", Kind = TaskKind.Choices,
            Fields = "question {stem, choices [{text, label}]}, answerKey",
            Splits = [new("test", 2376, null), new("dev", 464, [108, 113, 125, 118])],
        },
        new("answerKey", ReadArc)
        {
            Name = "arc_challenge", Version = "1.0", Kind = TaskKind.Choices,
            Fields = "question {stem, choices [{text, label}]}, answerKey",
            Splits = [new("test", 1172, null), new("dev", 234, [44, 75, 55, 60])],
        },
        new("goal", ReadPiqa)
        {
            Name = "piqa", Version = "1.0", Kind = TaskKind.Choices, HasLabelFile = true,
            Fields = "goal, sol1, sol2, and label or a file NAME-labels.lst beside NAME.jsonl",
            Splits = [new("validation", 1838, [910, 928]), new("dev", 345, [172, 173])],
        },
        new("passage", ReadBoolQ)
        {
            Name = "boolq", Version = "2.0", Kind = TaskKind.PlainChoices,
            Fields = "passage, question, answer",
            Splits = [new("validation", 3270, [1237, 2033]), new("dev", 641, [257, 384])],
        },
        new("endings", ReadHellaSwag)
        {
            Name = "hellaswag", Version = "1.0", Kind = TaskKind.Choices,
            Fields = "activity_label, ctx_a, ctx_b, endings [4], label",
            Splits = [new("validation", 10042, null), new("dev", 1967, [482, 490, 489, 506])],
        },
        new("sentence", ReadWinoGrande)
        {
            Name = "winogrande", Version = "1.0", Kind = TaskKind.Contexts,
            Fields = "sentence, option1, option2, answer",
            Splits = [new("validation", 1267, null), new("dev", 255, [132, 123])],
        },
        new("text", ReadLambada)
        {
            Name = "lambada_openai", Version = "1.0", Kind = TaskKind.LastWord,
            Fields = "text",
            Splits = [new("test", 5153, null), new("dev", 998, null)],
        },
        new("answerKey", ReadOpenBookQa)
        {
            Name = "openbookqa", Version = "1.0", Kind = TaskKind.Choices,
            Fields = "question {stem, choices [{text, label}]}, answerKey",
            Splits = [new("test", 500, null), new("dev", 99, [29, 23, 23, 24])],
        },
    ];

    /// <summary>The tasks whose mean accuracy published tables give.</summary>
    public static IReadOnlyList<string> Published { get; } = ["arc_challenge", "boolq", "piqa", "arc_easy", "hellaswag"];

    /// <summary>The task of a name.</summary>
    /// <exception cref="ArgumentException">There is none; the message lists those there are.</exception>
    public static TaskDefinition Find(string name) => All.FirstOrDefault(t => t.Name == name)
        ?? throw new ArgumentException($"--tasks: found '{name}', expected some of {string.Join(", ", All.Select(t => t.Name))}");

    private static TaskDocument ReadArc(JsonFields fields, string id, int? label)
    {
        (string stem, IReadOnlyList<string> choices, int gold) = ReadQuestion(fields, "question");
        return Choose(id, $"Question: {stem}\nAnswer:", choices, gold);
    }

    private static TaskDocument ReadOpenBookQa(JsonFields fields, string id, int? label)
    {
        (string stem, IReadOnlyList<string> choices, int gold) = ReadQuestion(fields, "question_stem");
        return Choose(id, stem, choices, gold);
    }

    private static TaskDocument ReadPiqa(JsonFields fields, string id, int? label)
        => Choose(id, $"Question: {fields.RequiredText("goal")}\nAnswer:", [fields.RequiredText("sol1"), fields.RequiredText("sol2")], label ?? fields.RequiredIndex("label", 2));

    private static TaskDocument ReadBoolQ(JsonFields fields, string id, int? label)
    {
        string context = $"{fields.RequiredText("passage")}\nQuestion: {fields.RequiredText("question")}?\nAnswer:";
        return Choose(id, context, ["no", "yes"], fields.RequiredIndex(fields.Contains("answer") ? "answer" : "label", 2));
    }

    private static TaskDocument ReadHellaSwag(JsonFields fields, string id, int? label)
    {
        string text = $"{fields.RequiredText("activity_label")}: {fields.RequiredText("ctx_a")} {PythonText.Capitalize(fields.RequiredText("ctx_b"))}";
        List<string> endings = fields.Texts("endings");
        return Choose(id, HellaSwagText.Clean(text), [.. endings.Select(HellaSwagText.Clean)], fields.RequiredIndex("label", endings.Count));
    }

    private static TaskDocument ReadWinoGrande(JsonFields fields, string id, int? label)
    {
        string sentence = fields.RequiredText("sentence");
        int gap = sentence.IndexOf('_', StringComparison.Ordinal);
        if (gap < 0)
            throw fields.Bad("sentence", "a sentence with a gap _");
        string target = " " + PythonText.Strip(sentence[(gap + 1)..]);
        TaskChoice Fill(string option) => new(sentence[..gap] + fields.RequiredText(option), target);
        return new TaskDocument(id, [Fill("option1"), Fill("option2")], fields.RequiredText("answer") switch { "1" => 0, "2" => 1, _ => throw fields.Bad("answer", "\"1\" or \"2\"") });
    }

    private static TaskDocument ReadLambada(JsonFields fields, string id, int? label)
    {
        string text = fields.RequiredText("text");
        int last = text.LastIndexOf(' ');
        if (last < 1)
            throw fields.Bad("text", "at least two words");
        return new TaskDocument(id, [new TaskChoice(text[..last], text[last..])], 0);
    }

    // The question and its lettered choices: nested as in ARC's own files, or flat as in the tables made of them.
    private static (string Stem, IReadOnlyList<string> Choices, int Gold) ReadQuestion(JsonFields fields, string flatStem)
    {
        List<string> texts, labels;
        string stem;
        if (fields.IsObject("question"))
        {
            JsonFields question = fields.Object("question")!.Value;
            stem = question.RequiredText("stem");
            List<JsonFields> choices = question.Objects("choices");
            (texts, labels) = ([.. choices.Select(c => c.RequiredText("text"))], [.. choices.Select(c => c.RequiredText("label"))]);
        }
        else
        {
            stem = fields.RequiredText(flatStem);
            JsonFields choices = fields.Object("choices") ?? throw fields.Bad("choices", "an object: text, label");
            (texts, labels) = (choices.Texts("text"), choices.Texts("label"));
        }
        int gold = labels.IndexOf(fields.RequiredText("answerKey"));
        return gold >= 0 && texts.Count == labels.Count ? (stem, texts, gold) : throw fields.Bad("answerKey", $"one of {texts.Count} choices' labels: {string.Join(", ", labels)}");
    }

    private static TaskDocument Choose(string id, string context, IReadOnlyList<string> choices, int gold)
        => new(id, [.. choices.Select(choice => new TaskChoice(context, " " + choice))], gold);
}
