/**
 * `npm run test:clients -- --packages`: builds the package of each client, installs it into an empty project by that alone, and
 * runs the first example of its README there.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../', import.meta.url))

/** Client -> builds, installs and runs it; `python` is an interpreter with the package `build`. */
export const PACKAGES: Readonly<Record<string, (python: () => string) => void>> = {
  python(python) {
    const folder = emptyFolder()
    const wheels = join(folder, 'wheels')
    run(python(), ['-m', 'build', '--wheel', '--outdir', wheels, join(root, 'clients/python')], folder)
    run('python3', ['-m', 'venv', 'project'], folder)
    const [wheel] = readdirSync(wheels)
    const interpreter = join(folder, 'project/bin/python')
    run(interpreter, ['-m', 'pip', 'install', '-q', `${join(wheels, wheel!)}[local]`], folder)
    writeFileSync(join(folder, 'first.py'), `${exampleOf('python', 'python')}\nassert value < 0.01, value\n`)
    run(interpreter, ['first.py'], folder)
  },
  typescript() {
    const folder = emptyFolder()
    run('npm', ['pack', '--silent', '--pack-destination', folder], join(root, 'clients/typescript'))
    const file = readdirSync(folder).find((name) => name.endsWith('.tgz'))
    writeFileSync(join(folder, 'package.json'), '{"type":"module","private":true}')
    run('npm', ['install', '--silent', '--no-audit', '--no-fund', `./${file}`], folder)
    const code = exampleOf('typescript', 'ts').replaceAll(
      "'lossd-client'\n",
      "'lossd-client'\nimport { Client, setDefaultClient } from 'lossd-client'\nsetDefaultClient(new Client(process.env.LOSSD_URL))\n",
    )
    const check =
      '\nif (!(Math.abs(w[0] - 1) < 0.05 && Math.abs(w[1] - 2) < 0.05)) throw new Error(String(w))\n'
    writeFileSync(join(folder, 'first.mjs'), code + check)
    run(process.execPath, ['first.mjs'], folder)
  },
  go() {
    const folder = emptyFolder()
    const version = /^go (\S+)$/m.exec(readFileSync(join(root, 'clients/go/go.mod'), 'utf8'))![1]!
    writeFileSync(
      join(folder, 'go.mod'),
      `module first\n\ngo ${version}\n\nrequire github.com/lossd/lossd/clients/go v0.0.0\n\nreplace github.com/lossd/lossd/clients/go => ${join(root, 'clients/go')}\n`,
    )
    const body = exampleOf('go', 'go')
    writeFileSync(
      join(folder, 'main.go'),
      `package main\n\nimport (\n"context"\n"log"\n\nlossd "github.com/lossd/lossd/clients/go"\n)\n\nfunc main() {\nctx := context.Background()\n${body}\nif w < 1.99 || w > 2.01 { log.Fatal(w) }\n}\n`,
    )
    run('go', ['mod', 'tidy'], folder)
    run('go', ['run', '.'], folder)
  },
  rust() {
    const folder = emptyFolder()
    const target = join(folder, 'target')
    const args = ['package', '--quiet', '--no-verify', '--allow-dirty', '--target-dir', target]
    run('cargo', args, join(root, 'clients/rust'))
    const packages = join(target, 'package')
    const crate = readdirSync(packages).find((name) => name.endsWith('.crate'))!
    run('tar', ['-xzf', crate], packages)
    const unpacked = join(packages, crate.slice(0, -'.crate'.length))
    writeFileSync(
      join(folder, 'Cargo.toml'),
      `[package]\nname = "first"\nversion = "0.1.0"\nedition = "2021"\n\n[dependencies]\nlossd = { path = "${unpacked}" }\n`,
    )
    mkdirSync(join(folder, 'src'))
    writeFileSync(
      join(folder, 'src/main.rs'),
      `use lossd::{Client, Data, Error, Loss, Tensor};\nfn main() -> Result<(), Error> {\nlet client = Client::new(&std::env::var("LOSSD_URL").unwrap());\n${exampleOf('rust', 'rust')}\nassert!((w - 2.0).abs() < 0.01, "{w}");\nOk(())\n}\n`,
    )
    run('cargo', ['run', '--quiet'], folder)
  },
  java() {
    const folder = emptyFolder()
    const pom = readFileSync(join(root, 'clients/java/pom.xml'), 'utf8')
    const [, version] = /^ {2}<version>(.+)<\/version>$/m.exec(pom)!
    // Not that of the user, which must not get a version that nobody has published.
    const repository = `-Dmaven.repo.local=${join(folder, 'repository')}`
    run('mvn', ['-B', '-q', '-DskipTests', repository, 'install'], join(root, 'clients/java'))
    const sources = join(folder, 'src/main/java')
    mkdirSync(sources, { recursive: true })
    writeFileSync(join(folder, 'pom.xml'), projectOf(version!))
    const exec = ['-Dexec.mainClass=First', '-Dexec.cleanupDaemonThreads=false']
    const check = 'if (Math.abs(w - 2) > 0.01) throw new AssertionError(w);'
    writeFileSync(
      join(sources, 'First.java'),
      `import io.github.lossd.*;\nimport java.util.Map;\nclass First { public static void main(String[] args) {\n${exampleOf('java', 'java')}\n${check}\n} }\n`,
    )
    run('mvn', ['-B', '-q', repository, 'compile', 'exec:java', ...exec], folder)
  },
}

/** A Maven project that needs nothing but the client. */
function projectOf(version: string): string {
  return `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>first</groupId>
  <artifactId>first</artifactId>
  <version>1</version>
  <properties>
    <maven.compiler.source>17</maven.compiler.source>
    <maven.compiler.target>17</maven.compiler.target>
    <project.build.sourceEncoding>UTF-8</project.build.sourceEncoding>
  </properties>
  <dependencies>
    <dependency>
      <groupId>io.github.lossd</groupId>
      <artifactId>lossd</artifactId>
      <version>${version}</version>
    </dependency>
  </dependencies>
</project>
`
}

function emptyFolder(): string {
  return mkdtempSync(join(tmpdir(), 'lossd-package-'))
}

function run(command: string, args: readonly string[], cwd: string) {
  execFileSync(command, args, { cwd, stdio: ['ignore', 'ignore', 'inherit'] })
}

/** The first code of a README. */
function exampleOf(client: string, language: string): string {
  const text = readFileSync(join(root, 'clients', client, 'README.md'), 'utf8')
  const [, code] = new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``).exec(text)!
  return code!
}
