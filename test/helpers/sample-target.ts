/** The text of the target `sample` in the pipelines of tests: what the sample image's own pipeline does, in few words. */
export const sampleTarget = `  sample: () => {
    const stock = fetch({ file: 'stock.img.xz' })
    const image = decompress({ from: stock })
    const layers = [overlay({ from: 'overlays' }), install({ image, os: 'Debian' })]
    return sign({ artifacts: save({ stock, image, table: mount({ image }), layers, name: 'sample' }) })
  },`
