import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { test } from 'node:test'
import ts from 'typescript'
import { importSpecifiers } from '../../../lib/engine/imports.ts'

const rows: [title: string, source: string, expected: string[]][] = [
  ['a default import counts', `import a from './a.ts'`, ['./a.ts']],
  ['a list over several lines counts', `import {\n  a,\n  b,\n} from './a.ts'`, ['./a.ts']],
  ['an import for its effect counts', `import './a.ts'`, ['./a.ts']],
  ['a re-export counts', `export * from './a.ts'\nexport { b } from "./b.ts"`, ['./a.ts', './b.ts']],
  ['an import of types vanishes', `import type { A } from './a.ts'\nexport type { B } from './b.ts'`, []],
  ['an import that names a type among values counts', `import { type A, b } from './a.ts'`, ['./a.ts']],
  ['an import while running counts', `const a = await import('./a.ts')`, ['./a.ts']],
  ['a remark is no import', ` * import a from './a.ts'\n// import b from './b.ts'`, []],
  ['an exported function is no import', `export function from() {\n  return './a.ts'\n}`, []],
  [
    'a remark among the names hides nothing',
    `import {\n  a, // it's (see b); \`c\`\n  b, /* "d" */\n} from './a.ts'`,
    ['./a.ts'],
  ],
  ['an import without blanks counts', `import{a}from'./a.ts'\nexport*from'./b.ts'`, ['./a.ts', './b.ts']],
  ['a second import of a line counts', `import './a.ts'; import b from './b.ts'`, ['./a.ts', './b.ts']],
  ['an import after a remark counts', `/* 1 */ import /* 2 */ a from /* 3 */ './a.ts'`, ['./a.ts']],
  [
    'something named `type` is a value',
    `import type from './a.ts'\nimport type, { b } from './b.ts'`,
    ['./a.ts', './b.ts'],
  ],
  ['a path between backquotes counts', 'await import(`./a.ts`)', ['./a.ts']],
  ['a remark in a call hides nothing', `await import(\n  // now\n  './a.ts',\n)`, ['./a.ts']],
  ['an import with attributes counts', `await import('./a.json', { with: { type: 'json' } })`, ['./a.json']],
  ['a required module counts', `const a = require('./a.cjs')`, ['./a.cjs']],
  ['an import named twice is given once', `import a from './a.ts'\nexport * from './a.ts'`, ['./a.ts']],
]

for (const [title, source, expected] of rows) {
  test(title, () => assert.deepEqual(importSpecifiers(source), expected))
}

test('every source of this project is read as the TypeScript compiler reads it', () => {
  const root = resolve(import.meta.dirname, '../../..')
  const files = ['lib', 'stages'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => join(root, folder, name)),
  )
  assert.ok(files.length > 20)
  for (const file of files) {
    const source = readFileSync(file, 'utf8')
    const missed = runtimeImports(source).filter((specifier) => !importSpecifiers(source).includes(specifier))
    assert.deepEqual(missed, [], file)
  }
})

/** What is left of the imports after the compiler has taken the types away. */
function runtimeImports(source: string): string[] {
  const { outputText } = ts.transpileModule(source, {
    compilerOptions: {
      module: ts.ModuleKind.ESNext,
      target: ts.ScriptTarget.ES2023,
      verbatimModuleSyntax: true,
    },
  })
  return ts.preProcessFile(outputText, true, true).importedFiles.map((file) => file.fileName)
}
