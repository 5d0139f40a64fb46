/** The page of the sample in a real browser: chosen, searched, filtered, and with names of files that mean harm. */
import assert from 'node:assert/strict'
import { statSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { type Browser, launch, type Page } from 'puppeteer-core'
import { deviceFiles, unitFile } from '../../lib/images/os/units.ts'
import { tool } from '../helpers/disks.ts'
import { needs } from '../helpers/needs.ts'
import { type Scratch, scratchCheckout, track } from '../helpers/scratch.ts'

const hostile = [
  '</script><script>window.harmed=1<',
  '<img src=x onerror=window.harmed=1>',
  `"'\`&amp;\${window.harmed=1}`,
  'rtl\u202egnp.exe',
  'two\nlines',
  'esc\x1b[2J',
]
/** What finds each of them, and how it is shown. */
const shown = {
  'script>': 'part_2/opt/</script><script>window.harmed=1<',
  onerror: 'part_2/opt/<img src=x onerror=window.harmed=1>',
  '&amp;': `part_2/opt/"'\`&amp;\${window.harmed=1}`,
  rtl: 'part_2/opt/rtl\\u{202e}gnp.exe',
  lines: 'part_2/opt/two\\u{a}lines',
  '[2j': 'part_2/opt/esc\\u{1b}[2J',
}

/** Milliseconds that a browser has, on a machine with other work to do. */
const patience = 120_000

describe('the page', { skip: needs('chromium', 'xz', 'debugfs', 'mdir', 'git'), timeout: 900_000 }, () => {
  let scratch: Scratch
  let browser: Browser
  let page: Page
  let file: string
  /** What the browser complained of, and what it wanted to load. */
  const complaints: string[] = []
  const requests: string[] = []

  before(async () => {
    scratch = await scratchCheckout()
    await page0('never.html')
    const overlay = join(scratch.project, 'overlays/part_2')
    await mkdir(join(overlay, 'opt/many'), { recursive: true })
    await mkdir(join(overlay, 'opt/<'))
    for (const name of hostile) await writeFile(join(overlay, 'opt', name), 'x')
    for (let i = 0; i < 3000; i++) await writeFile(join(overlay, 'opt/many', `file-${i}.conf`), `${i}`)
    await writeFile(join(overlay, 'etc/.wh.hostname'), '')
    await writeFile(join(overlay, 'etc/hosts'), '127.0.0.1 edited\n')
    await scratch.write(
      'overlays/part_2.mtree',
      '#mtree\n./opt/many/file-7.conf mode=04755 uid=1000 gid=100\n',
    )
    await track(scratch.project)
    const built = await scratch.run(['build', 'sample', '--json'])
    assert.equal(built.code, 0, built.stdout + built.stderr)
    await writeFile(join(overlay, 'etc/second'), 'build')
    assert.equal((await scratch.run(['build', 'sample'])).code, 0)
    file = await page0('page.html')
    const executablePath = tool('which', ['chromium']).trim()
    browser = await launch({ executablePath, args: ['--no-sandbox'], timeout: patience })
    page = await browser.newPage()
    page.setDefaultTimeout(patience)
    page.on('console', (message) => complaints.push(message.text()))
    page.on('pageerror', (error) => complaints.push(String(error)))
    page.on('dialog', (dialog) => complaints.push(dialog.message()))
    page.on('request', (request) => requests.push(request.url()))
    await page.setViewport({ width: 1280, height: 900 })
    await page.goto(pathToFileURL(file).href)
  })
  after(async () => {
    await browser?.close()
    await scratch?.remove()
  })

  async function page0(name: string): Promise<string> {
    const made = await scratch.run(['graph', 'sample', '--html', join('out', name)])
    assert.equal(made.code, 0, made.stdout + made.stderr)
    return join(scratch.project, 'out', name)
  }
  const text = (selector: string): Promise<string> =>
    page.$eval(selector, (element) => element.textContent ?? '')
  const texts = (selector: string): Promise<string[]> =>
    page.$$eval(selector, (elements) => elements.map((element) => element.textContent ?? ''))
  const isSeen = (selector: string): Promise<boolean> =>
    page.$eval(selector, (element) => element.getClientRects().length > 0)
  const rows = (): Promise<string[]> => texts('#list tbody th')
  const search = async (words: string): Promise<void> => {
    await page.click('#search', { count: 3 })
    await page.keyboard.press('Backspace')
    await page.type('#search', words)
  }

  test('has every stage of the graph, with its edges and last result', async () => {
    const names = await texts('.graph .stage text.name')
    assert.deepEqual(names.sort(), ['decompress', 'fetch', 'install', 'mount', 'overlay', 'save', 'sign'])
    assert.match(await text('.graph .stage[data-stage=save]'), /save: built in .*because its input overlay/s)
    assert.match(await text('.graph .stage[data-stage=mount]'), /mount: cached/)
    assert.deepEqual((await texts('.graph .edge text')).sort(), [
      'artifacts',
      'from',
      'image',
      'image',
      'image',
      'layers.0',
      'layers.1',
      'stock',
      'table',
    ])
  })

  test('shows all that is known of the stage that is clicked, or chosen by the keyboard', async () => {
    assert.equal(await isSeen('#stage-save'), false)
    await page.click('.graph .stage[data-stage=save] rect')
    assert.equal(await isSeen('#stage-save'), true)
    assert.match(await text('#stage-save'), /option name\s*"sample"/)
    await page.$eval('.graph .stage[data-stage=install]', (link) =>
      (link as unknown as { focus(): void }).focus(),
    )
    await page.keyboard.press('Enter')
    assert.deepEqual([await isSeen('#stage-save'), await isSeen('#stage-install')], [false, true])
    assert.match(page.url(), /#stage-install$/)
  })

  test('shows the stages of the last build, and those of another that is chosen', async () => {
    assert.equal((await texts('.chart .bar title')).length, 2)
    assert.match((await texts('#build-0 tbody tr')).join('\n'), /overlay.*built in.*second was added/)
    await page.click('.chart [data-build="1"]')
    assert.deepEqual([await isSeen('#build-0'), await isSeen('#build-1')], [false, true])
    assert.equal((await texts('#build-1 tbody th')).length, 7)
  })

  test('draws the partitions as sfdisk has them', async () => {
    const [first, second] = await texts('.disk svg svg')
    assert.match(first!, /part_1.*vfat bootfs.*of 40\.0 MiB used/s)
    assert.match(second!, /part_2.*ext4 rootfs.*of 84\.0 MiB used/s)
    const table = (await texts('table')).find((one) => one.includes('takes away'))!
    assert.match(table, /overlaypart_23,01\d/)
  })

  test('lists exactly the files that `diff` finds between stock and image', async () => {
    const diff = await scratch.run(['diff', 'sample/decompress', 'sample', '--json'])
    const changes = diff.events.flatMap((event) => {
      const data = (event as { data?: Partial<Record<'kind' | 'path' | 'partition', string>> }).data
      return data?.kind ? [`part_${data.partition}/${data.path} ${data.kind}`] : []
    })
    const files = await page.$eval('#data', (data) =>
      (JSON.parse(data.textContent!).files as string[][]).map(([path, kind]) => `${path} ${kind}`),
    )
    assert.ok(files.length > 3000)
    assert.deepEqual(files, changes)
  })

  test('finds files at once, with thousands there and few rows made', async () => {
    assert.ok((await rows()).length < 100)
    await search('file-29 .conf')
    assert.match(await text('#found'), /^111 of 3,0\d\d files/)
    assert.equal((await rows())[0], 'part_2/opt/many/file-29.conf')
    await page.$eval('#list', (list) => {
      list.scrollTop = list.scrollHeight
    })
    await page.waitForFunction(
      "[...document.querySelectorAll('#list tbody th')].at(-1)?.textContent === 'part_2/opt/many/file-2999.conf'",
    )
    await search('4755')
    assert.deepEqual(await rows(), ['part_2/opt/many/file-7.conf'])
    assert.match((await texts('#list tbody tr'))[1]!, /added.*overlay.*04755|4755.*1000:100/s)
    await search('1000:100')
    assert.equal((await rows()).length, 1)
    await search('no such file')
    assert.match(await text('#found'), /^0 of/)
  })

  test('filters by change, layer and kind, and sorts by size', async () => {
    await search('')
    await page.select('#kind', 'removed')
    assert.deepEqual(await rows(), ['part_2/etc/hostname'])
    await page.select('#kind', 'changed')
    assert.deepEqual(await rows(), ['part_2/etc/hosts'])
    await page.select('#kind', '')
    await page.select('#type', 'symlink')
    assert.equal((await rows()).length, 3)
    await page.select('#type', '')
    const install = await page.$$eval(
      '#layer option',
      (all) => all.find((one) => /install/.test(one.text))!.value,
    )
    await page.select('#layer', install)
    assert.ok((await rows()).every((path) => /fleetsie/.test(path)))
    await page.click('thead button[data-column="4"]')
    await page.click('thead button[data-column="4"]')
    const [largest] = deviceFiles
      .map(({ from, path }) => ({ path, size: statSync(unitFile(from)).size }))
      .sort((a, b) => b.size - a.size)
    assert.equal((await rows())[0], `part_2/${largest!.path}`)
    await page.select('#layer', '')
  })

  test('the key / goes to the search', async () => {
    await page.focus('#list')
    await page.keyboard.press('/')
    assert.equal(await page.evaluate('document.activeElement.id'), 'search')
  })

  test('names of files do nothing but show, controls and turned text spelled out', async () => {
    for (const [word, name] of Object.entries(shown)) {
      await search(word)
      assert.deepEqual(await rows(), [name])
    }
    assert.equal(await page.evaluate(() => 'harmed' in globalThis), false)
    assert.equal(await page.$('#list img'), null)
    const whole = await readFile(file, 'utf8')
    for (const unseen of ['\u202e', '\x1b']) assert.equal(whole.includes(unseen), false)
  })

  test('fits a phone, is readable in the dark, and works printed by no script at all', async () => {
    for (const scheme of ['light', 'dark']) {
      await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }])
      for (const width of [390, 1280]) {
        await page.setViewport({ width, height: 800 })
        const wide = Number(await page.evaluate('document.documentElement.scrollWidth'))
        assert.ok(wide <= width, `${wide} at ${width}, ${scheme}`)
        assert.deepEqual(await page.evaluate(tooFaint), [], `${scheme}, ${width}`)
        const shot = join(scratch.folder, `${scheme}-${width}.png`)
        await page.screenshot({ path: shot as `${string}.png`, fullPage: true })
      }
    }
    const plain = await browser.newPage()
    await plain.setJavaScriptEnabled(false)
    await plain.goto(`${pathToFileURL(file).href}#stage-save`)
    const seen = (selector: string): Promise<boolean> =>
      plain.$eval(selector, (element) => element.getClientRects().length > 0)
    assert.deepEqual(
      [await seen('.graph'), await seen('#stage-save'), await seen('#build-0'), await seen('noscript p')],
      [true, true, true, true],
    )
    await plain.close()
  })

  test('a target that was never built has a page too', async () => {
    const fresh = await browser.newPage()
    await fresh.goto(pathToFileURL(join(scratch.project, 'out/never.html')).href)
    const body = await fresh.$eval('body', (element) => element.textContent!)
    assert.match(body, /was never built here/)
    assert.match(body, /not run yet/)
    await fresh.close()
  })

  test('and one whose results are gone says so', async () => {
    await scratch.run(['gc', '--max-size', '0'])
    const gone = await readFile(await page0('gone.html'), 'utf8')
    assert.match(gone, /the output of mount is not in the store any more|evicted on/)
  })

  test('the browser had nothing to complain of, and loaded nothing', () => {
    assert.deepEqual(complaints, [])
    assert.deepEqual([...new Set(requests.map((url) => url.replace(/#.*/, '')))], [pathToFileURL(file).href])
  })
})

/** For the page: text whose contrast to what is behind it is under 4.5 to 1 (WCAG 2.1, 1.4.3). */
const tooFaint = String.raw`(() => {
  const parse = (colour) => (colour.match(/[\d.]+/g) ?? []).map(Number)
  const light = (colour) => {
    const [r, g, b] = colour.map((value) =>
      value / 255 <= 0.03928 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor)
      if (colour.length === 3 || colour[3] > 0) return colour
    }
    return [255, 255, 255]
  }
  const faint = []
  for (const element of document.querySelectorAll('p, dt, dd, th, td, small, figcaption, caption, label, a, svg text')) {
    if (element.getClientRects().length === 0 || !element.textContent.trim()) continue
    const style = getComputedStyle(element)
    const [a, b] = [light(parse(element.tagName === 'text' ? style.fill : style.color)), light(behind(element))]
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)
    if (ratio < 4.5) faint.push(element.tagName + ' ' + element.textContent.slice(0, 30) + ' ' + ratio.toFixed(1))
  }
  return [...new Set(faint)]
})()`
