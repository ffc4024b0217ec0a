// Runs commands of the official CLI in one process, one after another: starting node and the CLI takes a second each time.
//
// node commands.mjs PACKAGE JOBS RESULTS, the last two being file descriptors. Each job is a line of JSON with `words`, `env` and
// `folder`. Each result is a line of JSON with `status`, `stdout` and `stderr`, written as soon as the command has ended.

import {createReadStream, writeSync} from 'node:fs'
import {createRequire} from 'node:module'
import {join} from 'node:path'
import {createInterface} from 'node:readline'

const [root, jobs, results] = process.argv.slice(2)
const {Config, execute, ux} = createRequire(join(root, 'package.json'))('@oclif/core')
const PATIENCE = 45_000
const environ = {...process.env}
const exit = process.exit.bind(process)
const config = await Config.load(join(root, 'package.json'))
class Exit extends Error {}

process.on('unhandledRejection', () => {})

function run({words, env, folder}) {
  process.chdir(folder)
  process.env = {...environ, ...env}
  process.argv = [process.argv[0], join(root, 'bin', 'run.js'), ...words]
  process.exitCode = undefined
  const said = {stdout: '', stderr: ''}
  let isOver = false
  return new Promise(resolve => {
    const end = status => {
      if (isOver) return
      isOver = true
      clearTimeout(timer)
      process.off('uncaughtException', crash)
      ux.action.stop()
      resolve({...said, status})
    }

    const crash = error => {
      if (error instanceof Exit) return
      if (!isOver) said.stderr += error.stack
      end(1)
    }

    const timer = setTimeout(() => crash(new Error('The command did not end.')), PATIENCE)
    process.on('uncaughtException', crash)
    for (const name of ['stdout', 'stderr']) {
      process[name].write = (text, ...rest) => {
        if (!isOver) said[name] += text
        rest.findLast(each => typeof each === 'function')?.()
        return true
      }

      ux.action.stdmockOrigs[name] = process[name].write
    }

    process.exit = code => {
      end(code ?? process.exitCode ?? 0)
      throw new Exit()
    }

    execute({args: words, loadOptions: config}).then(() => end(process.exitCode ?? 0), crash)
  })
}

for await (const line of createInterface({input: createReadStream('', {fd: Number(jobs)})})) {
  writeSync(Number(results), JSON.stringify(await run(JSON.parse(line))) + '\n')
}

exit(0)
