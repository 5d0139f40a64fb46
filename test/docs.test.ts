/** What README.md and docs/ name is there: pages, files, verbs with their options, variables. */
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'
import type { Command } from 'commander'
import { program } from '../lib/cli/program.ts'
import type { Session } from '../lib/cli/session.ts'
import { checkout } from './helpers/npm-project.ts'

const root = program({} as Session)
const pages = ['README.md', ...filesBelow('docs').filter((name) => name.endsWith('.md'))]
const sources = ['lib', 'stages', 'units', 'scripts', 'bench']
  .flatMap(filesBelow)
  .map((name) => readFileSync(join(checkout, name), 'utf8'))
  .join('\n')

for (const page of pages) {
  describe(page, () => {
    const text = readFileSync(join(checkout, page), 'utf8')

    test('links to files that are there', () => {
      const targets = [...text.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)].map(([, target]) => target!)
      const lost = targets.filter(
        (target) => !/^https?:/.test(target) && !existsSync(join(checkout, dirname(page), target)),
      )
      assert.deepEqual(lost, [])
    })

    test('names files of this repository that are there', () => {
      const path = /(?<![\w./-])(?:lib|stages|units|scripts|test)\/[\w./-]*\w/g
      const named = quotedIn(text).flatMap((piece) => piece.match(path) ?? [])
      assert.deepEqual(
        named.filter((name) => !existsSync(join(checkout, name))),
        [],
      )
    })

    // docs/verbs.md is made of the verbs themselves.
    if (page !== 'docs/verbs.md') {
      test('calls verbs that there are, with options that they have', () => {
        const call = /\b(?:fleetsie|pipeline\.ts|fleetsie_mod) ([a-z].*)/g
        const calls = [...blocksIn(text), ...quotedIn(text)]
          .map((piece) => piece.replace(/\bfleetsie_(gen|srv)(?= )/g, 'fleetsie $1'))
          .flatMap((piece) => [...piece.matchAll(call)])
        assert.deepEqual(
          calls.flatMap(([, words]) => unknownIn(words!)),
          [],
        )
      })
    }

    test('names variables that the code reads', () => {
      const names = new Set(text.match(/\bFLEETSIE_[A-Z_]+\b/g))
      assert.deepEqual(
        [...names].filter((name) => !sources.includes(name)),
        [],
      )
    })
  })
}

test('README.md leads to every page', () => {
  const readme = readFileSync(join(checkout, 'README.md'), 'utf8')
  const listed = readme.slice(readme.indexOf('## Contents'))
  const single = pages.filter((page) => page.startsWith('docs/') && !page.startsWith('docs/stages/'))
  assert.deepEqual(
    single.filter((page) => !listed.includes(`(${page})`)),
    [],
  )
})

test('docs/architecture.md has a row for every folder that acts on disks', () => {
  const text = readFileSync(join(checkout, 'docs/architecture.md'), 'utf8')
  const folders = readdirSync(join(checkout, 'lib/images'), { withFileTypes: true }).filter((one) =>
    one.isDirectory(),
  )
  assert.deepEqual(
    folders.map(({ name }) => name).filter((name) => !text.includes(`\`${name}/\``)),
    [],
  )
})

test('docs/security-fleet.md names tests that are there', () => {
  const text = readFileSync(join(checkout, 'docs/security-fleet.md'), 'utf8')
  const tests = filesBelow('test')
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => readFileSync(join(checkout, name), 'utf8'))
    .join('\n')
  const titles = text.slice(text.indexOf('## Promises')).matchAll(/\*([^*|]{10,}?)\*/g)
  const begins = [...titles].map(([, title]) => title!.replace(/^… ?/, '').split('…')[0]!.trim())
  assert.ok(begins.length > 10)
  assert.deepEqual(
    begins.filter((begin) => !tests.includes(begin)),
    [],
  )
})

test('README.md or docs/ name every variable of a user', () => {
  const all = pages.map((page) => readFileSync(join(checkout, page), 'utf8')).join('\n')
  const read = sources.match(/(?<=process\.env\[')FLEETSIE_[A-Z_]+(?='\])/g) ?? []
  // Set by this program for what it starts, or by its tests.
  const own = new Set(['FLEETSIE_OFFLINE', 'FLEETSIE_TRACE_KILL', 'FLEETSIE_TEST_SHARED'])
  assert.deepEqual(
    [...new Set(read)].filter((name) => !own.has(name) && !all.includes(name)),
    [],
  )
})

/** Lines of code blocks, fenced or indented. */
function blocksIn(text: string): string[] {
  return text
    .split(/^```/m)
    .flatMap((part, i) => (i % 2 === 1 ? part.split('\n') : (part.match(/^ {4}.*/gm) ?? [])))
}

/** What stands between backquotes. */
function quotedIn(text: string): string[] {
  const prose = text.split(/^```/m).filter((_, i) => i % 2 === 0)
  return prose.flatMap((part) => [...part.matchAll(/`([^`]+)`/g)].map(([, code]) => code!))
}

/** The verb of a call if there is none of that name, and its options that the verb has not. */
function unknownIn(call: string): string[] {
  const words = call.replace(/\s#.*|[|;&>].*/, '').split(/\s+/)
  const end = words.includes('--') ? words.indexOf('--') : words.length
  let verb: Command = root
  let at = 0
  for (; at < end; at++) {
    const next: Command | undefined = verb.commands.find((command) => command.name() === words[at])
    if (!next) break
    verb = next
  }
  if (verb === root) return words[0] === 'help' ? [] : [words[0]!]
  const options = words.slice(at, end).filter((word) => /^--?[a-z]/i.test(word) && word !== '--help')
  return options
    .map((word) => word.replace(/=.*/, ''))
    .filter((word) => !verb.options.some(({ short, long }) => word === short || word === long))
    .map((word) => `${verb.name()} ${word}`)
}

function filesBelow(folder: string): string[] {
  return readdirSync(join(checkout, folder), { recursive: true })
    .map((name) => join(folder, String(name)))
    .filter((name) => statSync(join(checkout, name)).isFile())
}
