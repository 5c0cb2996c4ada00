package io.github.lossd;

/** The base of all exceptions of this package. */
public class LossdException extends RuntimeException {
  private static final long serialVersionUID = 1;

  LossdException(String message, Throwable cause) {
    super(message, cause);
  }

  /** The bytes of a kernel are not those that their hash stands for. */
  public static final class KernelRejected extends LossdException {
    private static final long serialVersionUID = 1;

    KernelRejected(String message) {
      super(message, null);
    }
  }

  /** A kernel has another version of the binary interface than this package understands. */
  public static final class AbiMismatch extends LossdException {
    private static final long serialVersionUID = 1;

    AbiMismatch(String message) {
      super(message, null);
    }
  }

  /** There is no connection to the service. */
  public static final class Unreachable extends LossdException {
    private static final long serialVersionUID = 1;

    Unreachable(String message, Throwable cause) {
      super(message, cause);
    }
  }
}
