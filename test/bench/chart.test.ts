import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { describe, it } from 'node:test'
import { chart, type Results } from '../../bench/chart.ts'
import type { Figures, Row } from '../../bench/row.ts'
import { needs } from '../helpers/needs.ts'

const figures = (wall: number): Figures => ({
  runs: 1,
  wall: { median: wall, min: wall, max: wall },
  command: 'true',
})

function beside(name: string, peer: string, ours: number, theirs: number): Row {
  const ratio = ours / theirs
  return {
    name,
    beside: peer,
    ours: figures(ours),
    peer: figures(theirs),
    ratio: { median: ratio, min: ratio, max: ratio },
  }
}

function results(...rows: Row[]): Results {
  const machine = { processors: 2, processor: 'A & B <fast>', node: '20.0.0', commit: 'abc' }
  return {
    taken: '2026-01-02T03:04:05Z',
    machine: machine as Results['machine'],
    image: { raw: 1.7e9, compressed: 139e6 },
    rows,
  }
}

/** In their order from the top. */
function bars(svg: string): { kind: string; width: number }[] {
  return [...svg.matchAll(/<rect class="(ours|peer)"[^>]* width="([\d.]+)"/g)].map(([, kind, width]) => ({
    kind: kind!,
    width: Number(width),
  }))
}

describe('the chart', () => {
  const svg = chart(
    results(
      beside('cold', 'shell script', 10_000, 100_000),
      { name: 'cold', beside: 'mkosi', notRun: 'no way' },
      beside('edit, by the bin', 'shell script', 100, 100_000),
      beside('edit, by the bin', 'guestfish', 100, 1000),
    ),
  )

  it('has a bar for us in each scenario and one for each peer that ran, the quickest first', () =>
    assert.deepEqual(
      bars(svg).map(({ kind }) => kind),
      ['ours', 'peer', 'peer', 'ours', 'peer'],
    ))

  it('makes a bar longer by the same for each ten times as long', () => {
    const [edit, guestfish, script, cold] = bars(svg).map(({ width }) => width)
    const decade = guestfish! - edit!
    assert.ok(decade > 50)
    assert.ok(Math.abs(script! - edit! - 3 * decade) < 1)
    assert.ok(Math.abs(script! - cold! - decade) < 1)
  })

  it('says each figure, how often ours fits into it, and what the image was', () => {
    assert.match(svg, />100 s, 1000 ×</)
    assert.match(svg, />100 ms</)
    assert.match(svg, /A disk image of 1\.7 GB, 139 MB as \.img\.xz/)
  })

  it('is well-formed whatever a machine calls itself', { skip: needs('rsvg-convert') }, () => {
    assert.match(svg, /A &amp; B &lt;fast&gt;/)
    const png = execFileSync('rsvg-convert', { input: svg, stdio: ['pipe', 'pipe', 'pipe'] })
    assert.equal(png.toString('latin1', 1, 4), 'PNG')
  })

  it('without a scenario that it shows there is none', () =>
    assert.throws(() => chart(results({ name: 'cold', notRun: 'no image' })), /no scenario of the chart/))
})
