package io.github.lossd;

import java.util.List;
import java.util.Map;

/** A problem that the service reports (RFC 9457), or that a local kernel finds in the same words. */
public class ProblemException extends LossdException {
  private static final long serialVersionUID = 1;

  /**
   * One place in a request that is wrong.
   *
   * @param pointer JSON pointer, such as {@code /targets/3}
   * @param detail one sentence
   */
  public record Place(String pointer, String detail) implements java.io.Serializable {}

  private final String code;
  private final String detail;
  private final transient List<Place> places;
  private final int status;
  private final boolean retryable;
  private final String requestId;

  private ProblemException(Facts facts) {
    super(facts.code + ": " + facts.detail, null);
    code = facts.code;
    detail = facts.detail;
    places = List.copyOf(facts.places);
    status = facts.status;
    retryable = facts.retryable;
    requestId = facts.requestId;
  }

  /** What every problem has. */
  private record Facts(String code, String detail, List<Place> places, int status, boolean retryable, String requestId) {}

  /**
   * What kind of problem it is.
   *
   * @return stable, such as {@code label-out-of-range}
   */
  public String code() {
    return code;
  }

  /**
   * What is wrong.
   *
   * @return one sentence
   */
  public String detail() {
    return detail;
  }

  /**
   * The first wrong place.
   *
   * @return a JSON pointer, such as {@code /targets/3}; empty if there is none
   */
  public String pointer() {
    return places.isEmpty() ? "" : places.get(0).pointer();
  }

  /**
   * All wrong places that were found.
   *
   * @return none if the problem has no place
   */
  public List<Place> places() {
    return places;
  }

  /**
   * The HTTP status, also where the problem was found locally.
   *
   * @return from 400 on
   */
  public int status() {
    return status;
  }

  /**
   * Whether the same request may succeed later.
   *
   * @return as the service says
   */
  public boolean isRetryable() {
    return retryable;
  }

  /**
   * The identity of the request in the log of the service.
   *
   * @return null if the problem was found locally
   */
  public String requestId() {
    return requestId;
  }

  /** An input, a parameter or an option is wrong. The same request fails again. */
  public static final class InvalidRequest extends ProblemException {
    private static final long serialVersionUID = 1;

    private InvalidRequest(Facts facts) {
      super(facts);
    }
  }

  /** No loss has this name. */
  public static final class UnknownLoss extends ProblemException {
    private static final long serialVersionUID = 1;

    private UnknownLoss(Facts facts) {
      super(facts);
    }
  }

  /** The request has no valid key, or its caller lacks a role. */
  public static final class AccessDenied extends ProblemException {
    private static final long serialVersionUID = 1;

    private AccessDenied(Facts facts) {
      super(facts);
    }
  }

  /** No portable kernel computes this loss. The service does. */
  public static final class KernelUnavailable extends ProblemException {
    private static final long serialVersionUID = 1;

    private KernelUnavailable(Facts facts) {
      super(facts);
    }
  }

  /** A quota is used up, or the queue of the service is full. */
  public static final class TooManyRequests extends ProblemException {
    private static final long serialVersionUID = 1;

    private TooManyRequests(Facts facts) {
      super(facts);
    }
  }

  /** The deadline passed before there was an answer. */
  public static final class DeadlineExceeded extends ProblemException {
    private static final long serialVersionUID = 1;

    private DeadlineExceeded(Facts facts) {
      super(facts);
    }
  }

  /** The service could not compute it at the moment, or has a bug. */
  public static final class ServiceFailed extends ProblemException {
    private static final long serialVersionUID = 1;

    private ServiceFailed(Facts facts) {
      super(facts);
    }
  }

  /** The exception of the class that code and status call for. */
  static ProblemException of(String code, String detail, List<Place> places, int status, boolean retryable, String requestId) {
    Facts facts = new Facts(code, detail, places, status, retryable, requestId);
    if (code.equals("kernel-unavailable")) return new KernelUnavailable(facts);
    if (code.equals("deadline-exceeded")) return new DeadlineExceeded(facts);
    return switch (status) {
      case 401, 403 -> new AccessDenied(facts);
      case 404, 410 -> new UnknownLoss(facts);
      case 429 -> new TooManyRequests(facts);
      default -> status < 500
          ? new InvalidRequest(facts)
          : new ServiceFailed(facts);
    };
  }

  static ProblemException of(String code, String detail, int status) {
    return of(code, detail, List.of(), status, false, null);
  }

  /** A problem with one place. */
  static ProblemException at(String code, String pointer, String detail) {
    return at(code, List.of(new Place(pointer, detail)));
  }

  static ProblemException at(String code, List<Place> places) {
    Place first = places.get(0);
    return of(code, first.pointer() + ": " + first.detail(), places, 422, false, null);
  }

  /** What a response says that is no success. */
  static ProblemException from(int status, String body) {
    Map<String, Object> document = documentIn(body);
    if (!(document.get("type") instanceof String type)) {
      return of("internal", "the response has status " + status + " and is no problem document: it is from a proxy", status);
    }
    String code = type.substring(Math.max(type.lastIndexOf(':'), type.lastIndexOf('#')) + 1);
    List<Place> places =
        Json.list(document.get("errors")).stream()
            .map(Json::object)
            .map(place -> new Place(String.valueOf(place.get("pointer")), String.valueOf(place.get("detail"))))
            .toList();
    Object requestId = document.get("requestId");
    boolean retryable = Boolean.TRUE.equals(document.get("retryable"));
    return of(code, String.valueOf(document.get("detail")), places, status, retryable, requestId == null ? null : requestId.toString());
  }

  private static Map<String, Object> documentIn(String body) {
    try {
      return Json.parse(body) instanceof Map<?, ?> document ? Json.object(document) : Map.of();
    } catch (IllegalArgumentException noJson) {
      return Map.of();
    }
  }
}
