/** What an overlay that cannot become a layer, or a layer that the image cannot take, gets. */
import { mkdir, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { refuses } from '../helpers/bad-input.ts'
import { MiB, tool } from '../helpers/disks.ts'
import { needsRoot } from '../helpers/needs.ts'

refuses('a bad overlay', [
  {
    title: 'no overlay folder',
    prepare: ({ project }) => rm(join(project, 'overlays'), { recursive: true }),
    code: 1,
    error: /there is no folder overlays\n {2}try: make it/,
  },
  {
    title: 'a name with .. by mtree',
    files: { 'overlays/part_2.mtree': './../etc/x type=dir\n' },
    code: 1,
    error: /part_2\.mtree.*1/,
  },
  {
    title: 'a damaged mtree',
    files: { 'overlays/part_2.mtree': './x mode=9x\n' },
    code: 1,
    error: /part_2\.mtree/,
  },
  {
    title: 'a partition folder that is a link to elsewhere',
    prepare: ({ project }) => symlink('/etc', join(project, 'overlays/part_2')),
    code: 2,
    error: /overlays\/part_2 has to be a folder, but is a symlink/,
  },
  {
    title: 'a device node',
    prepare: async ({ project }) => {
      await mkdir(join(project, 'overlays/part_2'))
      tool('mknod', [join(project, 'overlays/part_2/null'), 'c', '1', '3'])
    },
    code: 1,
    error: /part_2\/null" is a character device/,
    skip: needsRoot,
  },
  {
    title: 'a fifo',
    prepare: async ({ project }) => {
      await mkdir(join(project, 'overlays/part_2'))
      tool('mkfifo', [join(project, 'overlays/part_2/pipe')])
    },
    code: 1,
    error: /part_2\/pipe" is a fifo/,
  },
  {
    title: 'a private key',
    prepare: ({ project }) =>
      mkdir(join(project, 'overlays/part_2/etc'), { recursive: true }).then(() =>
        tool('openssl', [
          'genpkey',
          '-algorithm',
          'ED25519',
          '-out',
          join(project, 'overlays/part_2/etc/host.key'),
        ]),
      ),
    code: 2,
    error: /overlays\/part_2\/etc\/host\.key.*private key[\s\S]*allowPrivateKeys/,
  },
  {
    title: 'names that are one on FAT',
    files: { 'overlays/part_1/README.txt': '1', 'overlays/part_1/readme.TXT': '2' },
    code: 1,
    error: /part_1\.tar \(made by overlay\): "readme\.TXT" and "README\.txt" differ only in case/,
  },
  {
    title: 'a name that FAT cannot hold',
    files: { 'overlays/part_1/a:b': '1' },
    code: 1,
    error: /"a:b" has a name that FAT cannot hold: it has ":"/,
  },
  {
    title: 'a file where another layer needs a folder',
    files: { 'overlays/part_2/etc': 'a file' },
    code: 1,
    error: /part_2\.tar \(made by install\): etc\/systemd\/.*: a part of this path is a file, not a folder/,
  },
  {
    title: 'a folder where the image has a file',
    files: {
      'overlays/part_2/etc/os-release/x: etc/os-release is a file in the image, not a folder\n {2}try: a whiteout/x':
        'x',
    },
    code: 1,
    error: /os-release/,
  },
  {
    title: 'a layer that does not fit',
    prepare: async ({ project }) => {
      await mkdir(join(project, 'overlays/part_2'), { recursive: true })
      await writeFile(join(project, 'overlays/part_2/big'), Buffer.alloc(90 * MiB, 'x'))
    },
    code: 4,
    error: /part_2 has \d+ bytes free; the layers need \d+ bytes \([\d.]+ MiB\) more\n {2}try: .*`grow`/,
  },
])
