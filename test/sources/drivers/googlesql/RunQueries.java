import com.google.zetasql.AnalyzerOptions;
import com.google.zetasql.LanguageOptions;
import com.google.zetasql.PreparedQuery;
import com.google.zetasql.SimpleCatalog;
import com.google.zetasql.SimpleColumn;
import com.google.zetasql.SimpleTable;
import com.google.zetasql.TableContent;
import com.google.zetasql.Type;
import com.google.zetasql.TypeFactory;
import com.google.zetasql.Value;
import com.google.zetasql.ZetaSQLBuiltinFunctionOptions;
import com.google.zetasql.ZetaSQLOptions.LanguageFeature;
import com.google.zetasql.ZetaSQLOptions.ProductMode;
import com.google.zetasql.ZetaSQLType.TypeKind;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;

/**
 * Runs queries in the reference implementation of GoogleSQL. A query is some lines: its text in hexadecimal digits, the number
 * of rows, and the columns, each with its name and its words. It prints a line: the columns, and an error alone.
 */
public final class RunQueries {
  private static final Type DOUBLE = TypeFactory.createSimpleType(TypeKind.TYPE_DOUBLE);
  /** Of a word that is NULL. */
  private static final String NULL = "----------------";

  private RunQueries() {}

  public static void main(String[] args) throws IOException {
    final BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8), 1 << 20);
    for (String text = in.readLine(); text != null; text = in.readLine()) {
      final String query = new String(HexFormat.of().parseHex(text), StandardCharsets.UTF_8);
      final int rows = Integer.parseInt(in.readLine());
      final List<String[]> columns = new ArrayList<>();
      for (String line = in.readLine(); !line.isEmpty(); line = in.readLine()) columns.add(line.split("\t", -1));
      System.out.println(answer(query, rows, columns));
    }
  }

  private static String answer(String text, int rows, List<String[]> columns) {
    try (PreparedQuery query = prepared(text, rows, columns)) {
      return told(query, query.execute(Map.of()));
    } catch (RuntimeException error) {
      return "ERROR " + String.valueOf(error.getMessage()).replaceAll("\\s+", " ");
    }
  }

  /** As BigQuery is set up: with the names of types that customers see, and with EXCEPT. */
  private static PreparedQuery prepared(String text, int rows, List<String[]> columns) {
    final LanguageOptions language = new LanguageOptions();
    language.setProductMode(ProductMode.PRODUCT_EXTERNAL);
    language.enableLanguageFeature(LanguageFeature.FEATURE_V_1_1_SELECT_STAR_EXCEPT_REPLACE);
    final AnalyzerOptions options = new AnalyzerOptions();
    options.setLanguageOptions(language);
    final SimpleCatalog catalog = new SimpleCatalog("lossd");
    catalog.addZetaSQLFunctions(new ZetaSQLBuiltinFunctionOptions(language));
    final List<SimpleColumn> declared = new ArrayList<>();
    for (String[] column : columns) declared.add(new SimpleColumn("t", column[0], DOUBLE));
    catalog.addSimpleTable(new SimpleTable("t", declared));
    return PreparedQuery.builder()
        .setSql(text)
        .setAnalyzerOptions(options)
        .setCatalog(catalog)
        .setTablesContents(Map.of("t", content(rows, columns)))
        .prepare();
  }

  private static TableContent content(int rows, List<String[]> columns) {
    final List<List<Value>> table = new ArrayList<>();
    for (int row = 0; row < rows; row++) {
      final List<Value> own = new ArrayList<>();
      for (String[] column : columns) own.add(read(column[1].substring(16 * row, 16 * row + 16)));
      table.add(own);
    }
    return TableContent.create(table);
  }

  /** In the order of the first column, which numbers the rows. */
  private static String told(PreparedQuery query, TableContent found) {
    final List<List<Value>> rows = new ArrayList<>(found.getTableData());
    rows.sort(Comparator.comparingDouble(row -> row.get(0).getDoubleValue()));
    final StringBuilder out = new StringBuilder();
    for (int place = 0; place < query.getColumns().size(); place++) {
      if (place > 0) out.append('\t');
      out.append(query.getColumns().get(place).getName()).append('\t');
      for (List<Value> row : rows) out.append(written(row.get(place)));
    }
    return out.toString();
  }

  private static Value read(String word) {
    if (word.equals(NULL)) return Value.createNullValue(DOUBLE);
    return Value.createDoubleValue(Double.longBitsToDouble(Long.parseUnsignedLong(word, 16)));
  }

  private static String written(Value value) {
    if (value.isNull()) return NULL;
    return String.format("%016x", Double.doubleToRawLongBits(value.getDoubleValue()));
  }
}
