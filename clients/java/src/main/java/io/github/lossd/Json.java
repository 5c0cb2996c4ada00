package io.github.lossd;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** JSON as maps, lists, strings, doubles, booleans and null. */
final class Json {
  private final String text;
  private int at;

  private Json(String text) {
    this.text = text;
  }

  static Object parse(String text) {
    Json json = new Json(text);
    Object value = json.value();
    json.blank();
    if (json.at < text.length()) throw json.wrong("the end");
    return value;
  }

  @SuppressWarnings("unchecked")
  static Map<String, Object> object(Object value) {
    return value == null ? Map.of() : (Map<String, Object>) value;
  }

  @SuppressWarnings("unchecked")
  static List<Object> list(Object value) {
    return value == null ? List.of() : (List<Object>) value;
  }

  static List<String> strings(Object value) {
    return list(value).stream().map(String::valueOf).toList();
  }

  private IllegalArgumentException wrong(String wanted) {
    return new IllegalArgumentException("no JSON: " + wanted + " is expected at " + at);
  }

  private void blank() {
    while (at < text.length() && Character.isWhitespace(text.charAt(at))) at++;
  }

  private char peek() {
    blank();
    if (at >= text.length()) throw wrong("a value");
    return text.charAt(at);
  }

  private boolean takes(char one) {
    if (peek() != one) return false;
    at++;
    return true;
  }

  private Object value() {
    switch (peek()) {
      case '{':
        return members();
      case '[':
        return elements();
      case '"':
        return string();
      case 't':
        return word("true", true);
      case 'f':
        return word("false", false);
      case 'n':
        return word("null", null);
      default:
        return number();
    }
  }

  private Object word(String word, Object value) {
    if (!text.startsWith(word, at)) throw wrong(word);
    at += word.length();
    return value;
  }

  private Map<String, Object> members() {
    Map<String, Object> members = new LinkedHashMap<>();
    at++;
    if (takes('}')) return members;
    do {
      if (peek() != '"') throw wrong("a name");
      String name = string();
      if (!takes(':')) throw wrong("a colon");
      members.put(name, value());
    } while (takes(','));
    if (!takes('}')) throw wrong("a brace");
    return members;
  }

  private List<Object> elements() {
    List<Object> elements = new ArrayList<>();
    at++;
    if (takes(']')) return elements;
    do elements.add(value());
    while (takes(','));
    if (!takes(']')) throw wrong("a bracket");
    return elements;
  }

  private String string() {
    StringBuilder made = new StringBuilder();
    for (at++; at < text.length(); at++) {
      char one = text.charAt(at);
      if (one == '"') {
        at++;
        return made.toString();
      }
      made.append(one == '\\' ? escaped() : one);
    }
    throw wrong("a quote");
  }

  private char escaped() {
    char one = text.charAt(++at);
    switch (one) {
      case 'n':
        return '\n';
      case 't':
        return '\t';
      case 'r':
        return '\r';
      case 'b':
        return '\b';
      case 'f':
        return '\f';
      case 'u':
        at += 4;
        return (char) Integer.parseInt(text.substring(at - 3, at + 1), 16);
      default:
        return one;
    }
  }

  private Double number() {
    int start = at;
    while (at < text.length() && "+-.eE0123456789".indexOf(text.charAt(at)) >= 0) at++;
    if (start == at) throw wrong("a value");
    return Double.valueOf(text.substring(start, at));
  }

  /** Infinities and NaN are strings, because JSON cannot represent them. */
  static String write(Object value) {
    StringBuilder made = new StringBuilder();
    write(value, made);
    return made.toString();
  }

  private static void write(Object value, StringBuilder made) {
    if (value instanceof Map<?, ?> members) {
      String separator = "{";
      for (Map.Entry<?, ?> member : members.entrySet()) {
        made.append(separator);
        quote(String.valueOf(member.getKey()), made);
        made.append(':');
        write(member.getValue(), made);
        separator = ",";
      }
      made.append(members.isEmpty() ? "{}" : "}");
    } else if (value instanceof Iterable<?> elements) {
      made.append('[');
      String separator = "";
      for (Object element : elements) {
        made.append(separator);
        write(element, made);
        separator = ",";
      }
      made.append(']');
    } else if (value instanceof Double || value instanceof Float) {
      double number = ((Number) value).doubleValue();
      boolean isFinite = Double.isFinite(number);
      made.append(isFinite ? "" : "\"").append(Numbers.text(number)).append(isFinite ? "" : "\"");
    } else if (value == null || value instanceof Boolean || value instanceof Number) {
      made.append(value);
    } else {
      quote(String.valueOf(value), made);
    }
  }

  private static void quote(String text, StringBuilder made) {
    made.append('"');
    for (int i = 0; i < text.length(); i++) {
      char one = text.charAt(i);
      if (one == '"' || one == '\\') made.append('\\').append(one);
      else if (one < 0x20) made.append(String.format("\\u%04x", (int) one));
      else made.append(one);
    }
    made.append('"');
  }
}
