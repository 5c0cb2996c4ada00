package io.github.lossd;

import com.dylibso.chicory.runtime.ConstantEvaluators;
import com.dylibso.chicory.runtime.Instance;
import com.dylibso.chicory.runtime.Memory;
import com.dylibso.chicory.wasm.types.ActiveDataSegment;
import com.dylibso.chicory.wasm.types.DataSegment;
import com.dylibso.chicory.wasm.types.MemoryLimits;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * The memory of one instance as one array. Those of Chicory look up a page for each number, and support threads. An access beyond
 * the end is an IndexOutOfBoundsException of the array.
 */
@SuppressWarnings("removal") // Memory demands methods that it will lose
final class FlatMemory implements Memory {
  private static final VarHandle SHORT = viewAs(short[].class);
  private static final VarHandle INT = viewAs(int[].class);
  private static final VarHandle LONG = viewAs(long[].class);
  private static final VarHandle FLOAT = viewAs(float[].class);
  private static final VarHandle DOUBLE = viewAs(double[].class);
  /** The longest array that a Java virtual machine is sure to have. */
  private static final int MOST_PAGES = (Integer.MAX_VALUE - 8) / PAGE_SIZE;

  private final MemoryLimits limits;
  private byte[] bytes;

  FlatMemory(MemoryLimits limits) {
    this.limits = limits;
    bytes = new byte[Memory.bytes(limits.initialPages())];
  }

  private static VarHandle viewAs(Class<?> numbers) {
    return MethodHandles.byteArrayViewVarHandle(numbers, ByteOrder.LITTLE_ENDIAN);
  }

  /** A part of it, until it grows. */
  ByteBuffer part(int at, int length) {
    return ByteBuffer.wrap(bytes, at, length).order(ByteOrder.LITTLE_ENDIAN);
  }

  @Override
  public int pages() {
    return bytes.length / PAGE_SIZE;
  }

  @Override
  public int grow(int more) {
    int before = pages();
    if (more < 0 || more > Math.min(maximumPages(), MOST_PAGES) - before) return -1;
    bytes = Arrays.copyOf(bytes, Memory.bytes(before + more));
    return before;
  }

  @Override
  public int initialPages() {
    return limits.initialPages();
  }

  @Override
  public int maximumPages() {
    return limits.maximumPages();
  }

  @Override
  public void initialize(Instance instance, DataSegment[] segments) {
    if (segments == null) return;
    for (DataSegment segment : segments) {
      if (!(segment instanceof ActiveDataSegment active)) throw new LossdException.KernelRejected("it has passive data");
      write((int) ConstantEvaluators.computeConstantValue(instance, active.offsetInstructions())[0], active.data());
    }
  }

  @Override
  public void write(int address, byte[] data, int offset, int size) {
    System.arraycopy(data, offset, bytes, address, size);
  }

  @Override
  public byte[] readBytes(int address, int length) {
    return Arrays.copyOfRange(bytes, address, address + length);
  }

  @Override
  public byte read(int address) {
    return bytes[address];
  }

  @Override
  public void writeByte(int address, byte value) {
    bytes[address] = value;
  }

  @Override
  public short readShort(int address) {
    return (short) SHORT.get(bytes, address);
  }

  @Override
  public long readU16(int address) {
    return Short.toUnsignedLong(readShort(address));
  }

  @Override
  public void writeShort(int address, short value) {
    SHORT.set(bytes, address, value);
  }

  @Override
  public int readInt(int address) {
    return (int) INT.get(bytes, address);
  }

  @Override
  public void writeI32(int address, int value) {
    INT.set(bytes, address, value);
  }

  @Override
  public long readLong(int address) {
    return (long) LONG.get(bytes, address);
  }

  @Override
  public void writeLong(int address, long value) {
    LONG.set(bytes, address, value);
  }

  @Override
  public float readFloat(int address) {
    return (float) FLOAT.get(bytes, address);
  }

  @Override
  public long readF32(int address) {
    return readInt(address);
  }

  @Override
  public void writeF32(int address, float value) {
    FLOAT.set(bytes, address, value);
  }

  @Override
  public double readDouble(int address) {
    return (double) DOUBLE.get(bytes, address);
  }

  @Override
  public long readF64(int address) {
    return readLong(address);
  }

  @Override
  public void writeF64(int address, double value) {
    DOUBLE.set(bytes, address, value);
  }

  @Override
  public void zero() {
    Arrays.fill(bytes, (byte) 0);
  }

  @Override
  public void fill(byte value, int from, int to) {
    Arrays.fill(bytes, from, to, value);
  }

  @Override
  public void copy(int to, int from, int size) {
    System.arraycopy(bytes, from, bytes, to, size);
  }

  // What no kernel has: threads, and passive data

  @Override
  public boolean shared() {
    return false;
  }

  @Override
  public Object lock(int address) {
    throw new UnsupportedOperationException();
  }

  @Override
  public int waitOn(int address, int expected, long timeout) {
    throw new UnsupportedOperationException();
  }

  @Override
  public int waitOn(int address, long expected, long timeout) {
    throw new UnsupportedOperationException();
  }

  @Override
  public int notify(int address, int most) {
    throw new UnsupportedOperationException();
  }

  @Override
  public void initPassiveSegment(int segment, int to, int from, int size) {
    throw new UnsupportedOperationException();
  }

  @Override
  public void drop(int segment) {
    throw new UnsupportedOperationException();
  }
}
