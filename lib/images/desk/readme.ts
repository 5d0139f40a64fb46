/** The text of overlays/README.md. */

export function readmeOf(image: string): string {
  return `# Changes to ${image}

What differs from the stock image, in a form that git can track. \`mount\` shows it in the image's own tree, \`unmount\` and
\`save\` bring what was changed there back to this folder, and \`build\` makes an image of it.

| here | in the image |
| --- | --- |
| \`part_2/etc/motd\` | the file \`/etc/motd\` of the second partition, root:root, 0644, or 0755 for a program |
| \`part_2/etc/.wh.motd\` (empty) | \`/etc/motd\` is removed |
| \`part_2/etc/.wh..wh..opq\` (empty) | of \`/etc\` only what is here is left |
| a line of \`part_2.mtree\` | another owner or mode, extended attributes, devices, fifos, empty folders |

    ./usr/bin/helper mode=04755
    ./home/pi        type=dir uid=1000 gid=1000 mode=0750
    ./dev/spare      type=char device=native,1,3 mode=0666

Files may be edited here as well; the merged tree has them from the next \`mount\` on. Names that begin with \`.wh.\` have this
one meaning, and git holds no folder called \`.git\`, no sockets, no hard links and no modification times.
`
}
