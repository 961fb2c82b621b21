using FastKron.Native.Compute;
using NUnit.Framework;

namespace FastKron.Native.Tests.Compute;

/// <summary>Values of the orders in use are HadamardTablesTests' affair.</summary>
public sealed class PaleyMatrixTests
{
    [TestCase(16)]
    [TestCase(14)]
    public void First_OrderWithoutField_Throws(int order) => Assert.That(() => PaleyMatrix.First(order), Throws.ArgumentException);

    [TestCase(24)]
    [TestCase(44)]
    public void Second_OrderWithoutField_Throws(int order) => Assert.That(() => PaleyMatrix.Second(order), Throws.ArgumentException);
}
