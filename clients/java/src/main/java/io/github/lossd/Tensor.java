package io.github.lossd;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;

/** A dense array in C order. It keeps the array that it is made from. */
public final class Tensor {
  private final Dtype dtype;
  private final int[] shape;
  private final Object data;
  private final int length;

  enum Dtype {
    FLOAT32("float32", "F32", 4),
    FLOAT64("float64", "F64", 8),
    INT32("int32", "I32", 4),
    INT64("int64", "I64", 8);

    final String word;
    final String code;
    final int bytes;

    Dtype(String word, String code, int bytes) {
      this.word = word;
      this.code = code;
      this.bytes = bytes;
    }
  }

  private Tensor(Dtype dtype, Object data, int length, int[] shape, boolean isVector) {
    this.dtype = dtype;
    this.data = data;
    this.length = length;
    this.shape = isVector ? new int[] {length} : shape.clone();
    if (product(this.shape) != length) {
      throw new IllegalArgumentException("the shape " + Arrays.toString(shape) + " does not have " + length + " elements");
    }
  }

  /**
   * A tensor of float32.
   *
   * @param data its elements
   * @param shape its sizes; without any, it has one axis
   * @return the tensor
   */
  public static Tensor of(float[] data, int... shape) {
    return new Tensor(Dtype.FLOAT32, data, data.length, shape, shape.length == 0);
  }

  /**
   * A tensor of float64. With one of them among the inputs, everything is computed in float64.
   *
   * @param data its elements
   * @param shape its sizes; without any, it has one axis
   * @return the tensor
   */
  public static Tensor of(double[] data, int... shape) {
    return new Tensor(Dtype.FLOAT64, data, data.length, shape, shape.length == 0);
  }

  /**
   * A tensor of int32: labels, or counts.
   *
   * @param data its elements
   * @param shape its sizes; without any, it has one axis
   * @return the tensor
   */
  public static Tensor of(int[] data, int... shape) {
    return new Tensor(Dtype.INT32, data, data.length, shape, shape.length == 0);
  }

  /**
   * A tensor of int64: labels, or counts.
   *
   * @param data its elements
   * @param shape its sizes; without any, it has one axis
   * @return the tensor
   */
  public static Tensor of(long[] data, int... shape) {
    return new Tensor(Dtype.INT64, data, data.length, shape, shape.length == 0);
  }

  static Tensor shaped(Object data, int... shape) {
    if (data instanceof float[] own) return new Tensor(Dtype.FLOAT32, own, own.length, shape, false);
    if (data instanceof double[] own) return new Tensor(Dtype.FLOAT64, own, own.length, shape, false);
    if (data instanceof int[] own) return new Tensor(Dtype.INT32, own, own.length, shape, false);
    return new Tensor(Dtype.INT64, data, ((long[]) data).length, shape, false);
  }

  /**
   * The sizes of its axes.
   *
   * @return a copy
   */
  public int[] shape() {
    return shape.clone();
  }

  /**
   * The number of its elements.
   *
   * @return at least 0
   */
  public int length() {
    return length;
  }

  /**
   * The elements of a float32 tensor.
   *
   * @return the array itself
   */
  public float[] floats() {
    return (float[]) data;
  }

  /**
   * The elements of a float64 tensor.
   *
   * @return the array itself
   */
  public double[] doubles() {
    return (double[]) data;
  }

  /**
   * One element as a double, whatever it is stored as.
   *
   * @param element its place in C order
   * @return its value
   */
  public double at(int element) {
    switch (dtype) {
      case FLOAT32:
        return ((float[]) data)[element];
      case FLOAT64:
        return ((double[]) data)[element];
      case INT32:
        return ((int[]) data)[element];
      default:
        return ((long[]) data)[element];
    }
  }

  Dtype dtype() {
    return dtype;
  }

  int[] sizes() {
    return shape;
  }

  /** An element as the messages of the service spell it. */
  String text(int element) {
    switch (dtype) {
      case FLOAT32:
        return Numbers.text(((float[]) data)[element]);
      case FLOAT64:
        return Numbers.text(((double[]) data)[element]);
      case INT32:
        return Integer.toString(((int[]) data)[element]);
      default:
        return Long.toString(((long[]) data)[element]);
    }
  }

  /** Appends the elements to a buffer. */
  void putInto(ByteBuffer buffer) {
    ByteBuffer own = buffer.slice().order(ByteOrder.LITTLE_ENDIAN);
    switch (dtype) {
      case FLOAT32 -> own.asFloatBuffer().put((float[]) data);
      case FLOAT64 -> own.asDoubleBuffer().put((double[]) data);
      case INT32 -> own.asIntBuffer().put((int[]) data);
      default -> own.asLongBuffer().put((long[]) data);
    }
    buffer.position(buffer.position() + length * dtype.bytes);
  }

  static Tensor float32From(ByteBuffer buffer, int[] shape) {
    float[] data = new float[product(shape)];
    buffer.order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().get(data);
    return shaped(data, shape);
  }

  static Tensor float64From(ByteBuffer buffer, int[] shape) {
    double[] data = new double[product(shape)];
    buffer.order(ByteOrder.LITTLE_ENDIAN).asDoubleBuffer().get(data);
    return shaped(data, shape);
  }

  static int product(int[] shape) {
    int count = 1;
    for (int size : shape) count = Math.multiplyExact(count, size);
    return count;
  }

  @Override
  public String toString() {
    return dtype.word + Arrays.toString(shape);
  }
}
