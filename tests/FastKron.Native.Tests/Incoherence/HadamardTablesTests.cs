using System.Security.Cryptography;
using System.Text;
using FastKron.Native.Incoherence;
using NUnit.Framework;

namespace FastKron.Native.Tests.Incoherence;

public sealed class HadamardTablesTests
{
    // SHA-256 (first 16 hex digits) of the row-major string of '1' for + and '0' for −, taken from QTIP's tables and, for the extension, the formulas.
    [TestCase(12, "32808f48d141ddb1")]
    [TestCase(20, "111767ae6d82a326")]
    [TestCase(28, "8a1fc1451ba66fe3")]
    [TestCase(36, "6348b60444f67d86")]
    [TestCase(52, "4a7e63f837076439")]
    [TestCase(60, "fa7ea987d59c9209")]
    [TestCase(108, "9d551573f91ec273")]
    [TestCase(116, "f29468f3277dc4ee")]
    [TestCase(124, "3899a6632ccdd31b")]
    [TestCase(140, "b5d7685692aa642c")]
    [TestCase(156, "76bd51db75e226ae")]
    [TestCase(172, "8b8f8fa7ee35fc87")]
    [TestCase(44, "3370043bea4d3916")]
    [TestCase(68, "617fdeaaf0c70401")]
    [TestCase(76, "0af451c559a3844c")]
    [TestCase(100, "2bb60dd2f6e2b6b4")]
    [TestCase(148, "c7d9af4f6f79f05e")]
    public void Signs_EveryOrder_HasPublishedHash(int order, string hash)
    {
        var digits = new StringBuilder();
        foreach (sbyte sign in HadamardTables.Signs(order).Span)
            digits.Append(sign > 0 ? '1' : '0');
        string actual = Convert.ToHexStringLower(SHA256.HashData(Encoding.ASCII.GetBytes(digits.ToString())))[..16];
        Assert.That(actual, Is.EqualTo(hash));
    }

    [Test]
    public void Signs_EveryOrder_IsSquareWithOrthogonalSignRows()
    {
        foreach (int order in HadamardTables.PublishedOrders.Concat(HadamardTables.ExtensionOrders))
        {
            ReadOnlySpan<sbyte> signs = HadamardTables.Signs(order).Span;
            Assert.That(signs.Length, Is.EqualTo(order * order));
            for (int i = 0; i < order; i++)
            {
                for (int j = 0; j <= i; j++)
                {
                    int dot = 0;
                    for (int k = 0; k < order; k++)
                        dot += signs[i * order + k] * signs[j * order + k];
                    if (dot != (i == j ? order : 0))
                        Assert.Fail($"order {order}: rows {i} and {j} have product {dot}");
                }
            }
        }
    }

    [Test]
    public void Signs_UnknownOrder_NamesTheOrdersThatExist() =>
        Assert.That(() => HadamardTables.Signs(92), Throws.TypeOf<NotSupportedException>().With.Message.Contains("92").And.Message.Contains("12, 20, 28, 36, 44"));
}
