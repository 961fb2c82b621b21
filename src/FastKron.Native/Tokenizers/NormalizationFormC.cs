using System.Text;

namespace FastKron.Native.Tokenizers;

/// <summary>Unicode normalization form C: characters that look the same become the same code points, composed where a composed one exists.</summary>
/// <remarks>
/// <see cref="string.Normalize()"/> leaves text as it is under invariant globalization, hence this. Linear in the text but for runs of combining marks.
/// Source: Unicode Standard Annex #15; the Hangul arithmetic is section 3.12 of the Unicode Standard.
/// </remarks>
internal static class NormalizationFormC
{
    private const int SyllableBase = 0xAC00, LeadBase = 0x1100, VowelBase = 0x1161, TrailBase = 0x11A7;
    private const int LeadCount = 19, VowelCount = 21, TrailCount = 28, SyllableCount = LeadCount * VowelCount * TrailCount;
    private const char FirstUnstable = '\u0300';             // all text below is in form C

    private static readonly Dictionary<long, int> Compositions = BuildCompositions();
    private static readonly ulong[] Unstable = BuildUnstable();      // one bit a code point

    /// <summary>The normalized text; the very same characters where they are in form C already.</summary>
    /// <remarks>A lone surrogate stays or becomes U+FFFD; UTF-8 has U+FFFD for both.</remarks>
    public static ReadOnlySpan<char> Apply(ReadOnlySpan<char> text)
    {
        int unstable = FindUnstable(text, 0);
        if (unstable == text.Length)
            return text;

        StringBuilder result = new(text.Length);
        List<int> segment = [];
        int copied = 0;
        while (unstable < text.Length)
        {
            // A segment: the stable code point before the unstable ones, which they may change, up to the next stable one.
            int start = unstable;
            if (start > copied)
            {
                Rune.DecodeLastFromUtf16(text[copied..start], out _, out int width);
                start -= width;
            }
            int end = FindStable(text, unstable);
            result.Append(text[copied..start]);
            segment.Clear();
            foreach (Rune rune in text[start..end].EnumerateRunes())
                Decompose(rune.Value, segment);
            Order(segment);
            Compose(segment, result);
            copied = end;
            unstable = FindUnstable(text, end);
        }
        return result.Append(text[copied..]).ToString();
    }

    /// <inheritdoc cref="Apply(ReadOnlySpan{char})"/>
    public static string Apply(string text) => Apply(text.AsSpan()).ToString();

    private static int FindUnstable(ReadOnlySpan<char> text, int position)
    {
        while (position < text.Length)
        {
            int offset = text[position..].IndexOfAnyInRange(FirstUnstable, char.MaxValue);
            if (offset < 0)
                return text.Length;
            position += offset;
            Rune.DecodeFromUtf16(text[position..], out Rune rune, out int width);
            if (IsUnstable(rune.Value))
                return position;
            position += width;
        }
        return text.Length;
    }

    private static int FindStable(ReadOnlySpan<char> text, int position)
    {
        while (position < text.Length)
        {
            Rune.DecodeFromUtf16(text[position..], out Rune rune, out int width);
            if (!IsUnstable(rune.Value))
                return position;
            position += width;
        }
        return text.Length;
    }

    // Whether a code point may change, or may change or join the one before it: combining class other than 0, or quick check of form C not "yes".
    private static bool IsUnstable(int point) => (Unstable[point >> 6] >> (point & 63) & 1) != 0;

    private static void Decompose(int point, List<int> destination)
    {
        int syllable = point - SyllableBase;
        if ((uint)syllable < SyllableCount)
        {
            destination.Add(LeadBase + syllable / (VowelCount * TrailCount));
            destination.Add(VowelBase + syllable / TrailCount % VowelCount);
            if (syllable % TrailCount != 0)
                destination.Add(TrailBase + syllable % TrailCount);
            return;
        }
        ReadOnlySpan<int> table = CanonicalData.Composites;
        int entry = FindLast(table, point);
        if (entry < 0 || table[entry] != point)
        {
            table = CanonicalData.Decompositions;
            entry = FindLast(table, point);
        }
        if (entry < 0 || table[entry] != point)
        {
            destination.Add(point);
            return;
        }
        Decompose(table[entry + 1], destination);
        if (table[entry + 2] != 0)
            Decompose(table[entry + 2], destination);
    }

    // Sorts each run of marks by combining class, and leaves the order within a class (OrderBy is stable).
    private static void Order(List<int> points)
    {
        for (int start = 0, end; start < points.Count; start = end)
        {
            end = start + 1;
            if (CombiningClass(points[start]) == 0)
                continue;
            while (end < points.Count && CombiningClass(points[end]) != 0)
                end++;
            if (end - start == 1)
                continue;
            foreach (int point in points.GetRange(start, end - start).OrderBy(CombiningClass))
                points[start++] = point;
        }
    }

    // Joins each code point to the last starter if nothing between them has its class or a higher one.
    private static void Compose(List<int> points, StringBuilder destination)
    {
        int starter = -1, lastClass = -1, kept = 0;
        for (int i = 0; i < points.Count; i++)
        {
            int point = points[i], mark = CombiningClass(point);
            if (starter >= 0 && lastClass < mark && TryCompose(points[starter], point) is { } composed)
            {
                points[starter] = composed;
                continue;
            }
            (starter, lastClass) = mark == 0 ? (kept, -1) : (starter, mark);
            points[kept++] = point;
        }
        for (int i = 0; i < kept; i++)
            destination.Append(new Rune(points[i]).ToString());
    }

    private static int? TryCompose(int first, int second)
    {
        int lead = first - LeadBase, vowel = second - VowelBase;
        if ((uint)lead < LeadCount && (uint)vowel < VowelCount)
            return SyllableBase + (lead * VowelCount + vowel) * TrailCount;
        int syllable = first - SyllableBase, trail = second - TrailBase;
        if ((uint)syllable < SyllableCount && syllable % TrailCount == 0 && trail is > 0 and < TrailCount)
            return first + trail;
        return Compositions.TryGetValue(((long)first << 32) | (uint)second, out int composed) ? composed : null;
    }

    private static int CombiningClass(int point)
    {
        ReadOnlySpan<int> table = CanonicalData.CombiningClasses;
        int entry = FindLast(table, point);
        return entry >= 0 && point <= table[entry + 1] ? table[entry + 2] : 0;
    }

    // Index of the last triple whose first number is not greater, negative without one.
    private static int FindLast(ReadOnlySpan<int> triples, int point)
    {
        int low = 0, high = triples.Length / 3;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (triples[3 * middle] <= point)
                low = middle + 1;
            else
                high = middle;
        }
        return 3 * (low - 1);
    }

    private static Dictionary<long, int> BuildCompositions()
    {
        Dictionary<long, int> compositions = [];
        ReadOnlySpan<int> table = CanonicalData.Composites;
        for (int i = 0; i < table.Length; i += 3)
            compositions.Add(((long)table[i + 1] << 32) | (uint)table[i + 2], table[i]);
        return compositions;
    }

    private static ulong[] BuildUnstable()
    {
        ulong[] bits = new ulong[0x110000 / 64];
        void Set(int point) => bits[point >> 6] |= 1ul << (point & 63);
        ReadOnlySpan<int> composites = CanonicalData.Composites, others = CanonicalData.Decompositions, classes = CanonicalData.CombiningClasses;
        for (int i = 0; i < composites.Length; i += 3)
            Set(composites[i + 2]);
        for (int i = 0; i < others.Length; i += 3)
            Set(others[i]);
        for (int i = 0; i < classes.Length; i += 3)
        {
            for (int point = classes[i]; point <= classes[i + 1]; point++)
                Set(point);
        }
        for (int vowel = 0; vowel < VowelCount; vowel++)
            Set(VowelBase + vowel);
        for (int trail = 1; trail < TrailCount; trail++)
            Set(TrailBase + trail);
        return bits;
    }
}
