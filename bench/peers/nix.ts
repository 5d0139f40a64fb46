/** Nix, with a store of its own and no sandbox: a derivation that runs the shell script. */
import { cp, mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { limit, type Peer } from './peer.ts'

export const nix: Peer = {
  name: 'nix-build',
  async ready({ workplace, stock, overlays, folder }) {
    await symlink(overlays, join(folder, 'overlays'))
    await cp(join(workplace.checkout, 'bench/seed.sh'), join(folder, 'seed.sh'))
    await writeFile(
      join(folder, 'default.nix'),
      `derivation {
  name = "bench.img.xz";
  system = builtins.currentSystem;
  builder = "/bin/sh";
  args = [ "-c" "exec sh $seed $stock $overlays $out" ];
  stock = ${stock.path};
  overlays = "\${${overlays}}";
  seed = ./seed.sh;
  edit = builtins.readFile ./edit;
  PATH = "/usr/sbin:/usr/bin:/sbin:/bin";
}
`,
    )
    await mkdir(join(folder, 'conf'))
    const env = {
      ...workplace.env,
      NIX_STORE_DIR: join(folder, 'store'),
      NIX_STATE_DIR: join(folder, 'state'),
      NIX_LOG_DIR: join(folder, 'log'),
      NIX_CONF_DIR: join(folder, 'conf'),
      NIX_REMOTE: 'local',
    }
    const output = join(folder, 'result')
    const edit = (run: number): Promise<void> => writeFile(join(folder, 'edit'), `${run}\n`)
    await edit(0)
    const options = { sandbox: 'false', substitute: 'false', 'build-users-group': '' }
    const args = ['--out-link', output, ...Object.entries(options).flatMap((one) => ['--option', ...one])]
    return {
      // Without a change it would do nothing from the second time on.
      subject: { command: 'nix-build', args, cwd: folder, env, limit, before: (run) => edit(run + 1) },
      output,
      about: 'the shell script in a derivation',
    }
  },
}
