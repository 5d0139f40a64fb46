import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { inspect } from 'node:util'
import { claimRows } from '../../../../lib/images/values/claim-rows.ts'
import { readCsv } from '../../../../lib/images/values/read-csv.ts'

const folder = mkdtempSync(join(tmpdir(), 'fleetsie-csv-'))
after(() => rmSync(folder, { recursive: true }))
let files = 0

function csv(content: string | Buffer): string {
  const file = join(folder, `${files++}.csv`)
  writeFileSync(file, content)
  return file
}

test('cells with quotes, commas and line breaks, a byte order mark and CRLF', async () => {
  const file = csv(
    '\ufeffHostname, wifi-ssid ,wifi-password,#shelf\r\npi-1,"a\nb","p""ss,;word",top\r\n\r\npi-2,,,\r\n',
  )
  const rows = await readCsv(file)
  assert.deepEqual(
    rows.map(({ name }) => name),
    ['pi-1', 'pi-2'],
  )
  assert.deepEqual(
    rows.map(({ values }) => values.from),
    [`${file}, line 2`, `${file}, line 5`],
  )
  assert.equal(rows[0]!.values.wifi?.ssid.toString(), 'a\nb')
  assert.equal(rows[0]!.values.wifi?.password?.reveal().toString(), 'p"ss,;word')
  assert.equal(rows[1]!.values.wifi, undefined)
})

test('semicolons where the header has them, and commas within cells', async () => {
  const rows = await readCsv(csv('wifi-ssid;timezone\na,b;America/Halifax\n'))
  assert.equal(rows[0]!.values.wifi?.ssid.toString(), 'a,b')
  assert.equal(rows[0]!.name, '1')
})

test('what a row does not say is taken from the command line', async () => {
  const common = new Map([
    ['wifi-ssid', [Buffer.from('all')]],
    ['timezone', [Buffer.from('UTC')]],
  ] as const)
  const rows = await readCsv(csv('hostname,wifi-ssid\na,\nb,own\n'), common)
  assert.deepEqual(
    rows.map(({ values }) => `${values.wifi?.ssid} ${values.timezone}`),
    ['all UTC', 'own UTC'],
  )
})

for (const [title, content, message] of [
  ['an empty file', '', /empty/],
  ['a header alone', 'hostname\n', /no rows/],
  ['a column that nobody knows', 'hostname,wifi-pasword\na,MARKER\n', /line 1: column 2 \("wifi-pasword"\)/],
  ['a column twice', 'hostname,hostname\na,b\n', /two columns are called hostname/],
  ['a cell too few', 'hostname,user\na,b\nc\n', /line 3: it has more or fewer cells/],
  ['a cell too many', 'hostname\na,MARKER\n', /line 2: it has more or fewer cells/],
  ['a quote that is not closed', 'hostname,password\na,"MARKER\n\n', /not closed/],
  ['text behind a closing quote', 'hostname,password\na,"MARKER"x\n', /line 2: text follows/],
  ['a quote within a cell', 'hostname,password\na,MARKER"x\n', /line 2: a quote within/],
  [
    'a bad value',
    'hostname,wifi-ssid,wifi-password\na,"x\ny",12345678\nb,x,MARKER\n',
    /line 4, column wifi-password: .*this has 6/,
  ],
  [
    'a private key',
    'hostname,ssh-key\na,"-----BEGIN OPENSSH PRIVATE KEY-----\nMARKERMARKERMARKERMARKER"\n',
    /private key/,
  ],
  ['a host name twice', 'hostname\na\nb\nA\n', /lines 2 and 4, column hostname/],
  ['a serial twice', 'hostname,serial\na,1\nb,1\n', /lines 2 and 3, column serial/],
  ['Latin-1', Buffer.from('hostname,wifi-ssid\na,caf\xe9\n', 'latin1'), /not UTF-8/],
  ['UTF-16', Buffer.from('\ufeffhostname\na\n', 'utf16le'), /not UTF-8/],
  ['no CSV at all', Buffer.from([0x50, 0x4b, 3, 4, 0, 0x22, 0x22, 0x61]), /./],
] as const) {
  test(`refused with file and place, and the cell not shown: ${title}`, async () => {
    const file = csv(content)
    await assert.rejects(readCsv(file), (error: Error & { code: string; file?: string }) => {
      assert.match(error.code, /^E_(INPUT|UNSAFE)$/)
      assert.equal(error.file, file)
      assert.match(error.message, message)
      assert.doesNotMatch(inspect(error, { depth: 9 }), /MARKER/)
      return true
    })
  })
}

test('a file that is too large is not read', async () => {
  await assert.rejects(readCsv(csv(Buffer.alloc(17 * 1024 * 1024, 'a'))), {
    code: 'E_INPUT',
    message: /limit/,
  })
  await assert.rejects(readCsv(join(folder, 'gone.csv')), { code: 'E_INPUT', message: /ENOENT/ })
})

test('rows go to cards by number, by serial, again to the same card, and by name', async () => {
  const file = csv('hostname,serial\na,\nb,0xb\nc,\nd,\n')
  const rows = await readCsv(file)
  const claim = async (cards: { serial?: string }[], wanted?: string): Promise<string[]> =>
    (await claimRows({ file, rows, cards, ...(wanted === undefined ? {} : { wanted }) })).map(
      ({ row }) => row.name,
    )
  assert.deepEqual(await claim([{}, { serial: '0xb' }]), ['a', 'b'])
  assert.deepEqual(await claim([{ serial: '0x1' }]), ['c'])
  assert.deepEqual(await claim([{ serial: '0x1' }]), ['c'])
  assert.deepEqual(await claim([{}], 'a'), ['a'])
  assert.deepEqual(await claim([{}]), ['d'])
  await assert.rejects(claim([{}]), { code: 'E_INPUT', message: /all of its rows are used/ })
  await assert.rejects(claim([{}], 'e'), { code: 'E_INPUT', message: /no row "e"/ })
  await assert.rejects(claim([{}, {}], 'a'), { code: 'E_INPUT', message: /two cards/ })
})

test('a row that is given back is free, and too few rows give out none', async () => {
  const file = csv('hostname\na\nb\n')
  const rows = await readCsv(file)
  const [first] = await claimRows({ file, rows, cards: [{}] })
  await first!.giveBack()
  await assert.rejects(claimRows({ file, rows, cards: [{}, {}, {}] }), { code: 'E_INPUT' })
  assert.deepEqual(
    (await claimRows({ file, rows, cards: [{}, {}] })).map(({ row }) => row.name),
    ['a', 'b'],
  )
})

test('twenty at once get twenty rows', async () => {
  const file = csv(`hostname\n${Array.from({ length: 20 }, (_, i) => `pi-${i}\n`).join('')}`)
  const rows = await readCsv(file)
  const got = await Promise.all(Array.from({ length: 20 }, () => claimRows({ file, rows, cards: [{}] })))
  assert.equal(new Set(got.flat().map(({ row }) => row.name)).size, 20)
})

test('a note that was cut off by a power failure gave nothing out, and notes hold no secret', async () => {
  const file = csv('hostname,password\na,MARKERmarker\n')
  const rows = await readCsv(file)
  writeFileSync(`${file}.used`, '{"claim":"1","row":"a","ca')
  assert.equal((await claimRows({ file, rows, cards: [{ serial: 'x' }] }))[0]!.again, false)
  assert.equal((await claimRows({ file, rows, cards: [{ serial: 'x' }] }))[0]!.again, true)
  assert.doesNotMatch(readFileSync(`${file}.used`, 'utf8'), /MARKER/)
  writeFileSync(`${file}.used`, '{"row":"a"}\n')
  await assert.rejects(claimRows({ file, rows, cards: [{}] }), { code: 'E_DAMAGED', message: /line 1/ })
  assert.ok(existsSync(file))
})
