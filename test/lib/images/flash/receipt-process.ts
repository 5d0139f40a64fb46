/** Voids and keeps the receipt of a card again and again, until somebody ends it. */
import { inReader, ReceiptRig } from './receipt-rig.ts'

const [folder, path] = process.argv.slice(2) as [string, string]
const rig = await ReceiptRig.at(folder)
for (;;) {
  await rig.void(inReader(path))
  process.stdout.write('void\n')
  await rig.keep(path, inReader(path))
  process.stdout.write('kept\n')
}
