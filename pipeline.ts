/**
 * Which stages make which artifact. Run it by `npx zx pipeline.ts build [TARGET]`, or `npx fleetsie build`.
 * To use your own image, give `image` another stock: fetch({ file: 'raspios.img.xz' }), and its OSTYPE.
 */
import {
  type Derivation,
  debian,
  decompress,
  fetch,
  install,
  mount,
  overlay,
  pipeline,
  save,
  sign,
} from './lib/index.ts'

/** A stock image with `overlays/` and fleetsie in it, signed, in out/NAME_fleetsie.img.xz; `imager`: for that program. */
function image(
  name: string,
  stock: Derivation,
  os: 'Raspberry Pi OS' | 'Debian' | 'Ubuntu',
  imager?: { name: string },
): Derivation {
  const image = decompress({ from: stock })
  const table = mount({ image })
  const layers = [overlay({ from: 'overlays' }), install({ image, os })]
  const artifacts = save({ stock, image, table, layers, name, ...(imager ? { imager } : {}) })
  return sign({ artifacts, out: 'out' })
}

await pipeline({
  sample: {
    about: 'the sample shows what stages do; it has no kernel and does not boot (the target debian does)',
    make: () =>
      image('sample', fetch({ file: 'fixtures/sample.img.xz' }), 'Debian', { name: 'fleetsie sample' }),
  },
  debian: () => image('debian', debian({ lock: 'debian.lock' }), 'Debian'),
})
