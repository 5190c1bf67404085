// Times onnxruntime-node for package bench.
//
//     node -e SOURCE FOLDER THREADS
//
// loads the package from FOLDER/node_modules, prints {"ready": true}, and answers
// each line, a JSON object:
//
//     {"file": F, "inputs": [{"name": N, "shape": [...]}]}
//         makes the model the case, with inputs of a ramp, and answers
//         {"ns": T, "load_ns": L, "peak": B}: the time of a run, of loading, and
//         the bytes by which both raised the resident memory at most
//     {"min_ns": N}
//         answers {"ns": T}, from as many runs as take N
"use strict";
const fs = require("fs");
const path = require("path");
const readline = require("readline");

const answer = (message) => process.stdout.write(JSON.stringify(message) + "\n");
const now = () => Number(process.hrtime.bigint());

// resident returns a field of the process's memory in bytes, 0 where the system
// has none.
function resident(field) {
  try {
    const line = fs.readFileSync("/proc/self/status", "utf8").split("\n").find((l) => l.startsWith(field));
    return 1024 * parseInt(line.slice(field.length + 1), 10);
  } catch {
    return 0;
  }
}

function resetPeak() {
  try {
    fs.writeFileSync("/proc/self/clear_refs", "5");
  } catch {
    // The peak is then that of the whole process.
  }
}

const ramp = (n) => Float32Array.from({ length: n }, (_, i) => (i % 251) / 125 - 1);

async function load(ort, threads, request) {
  const before = resident("VmRSS");
  resetPeak();
  const start = now();
  const session = await ort.InferenceSession.create(request.file, {
    executionProviders: ["cpu"],
    graphOptimizationLevel: "all",
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    logSeverityLevel: 3,
  });
  const loadNS = now() - start;
  const feeds = {};
  for (const { name, shape } of request.inputs) {
    feeds[name] = new ort.Tensor("float32", ramp(shape.reduce((a, b) => a * b, 1)), shape);
  }
  const run = () => session.run(feeds);
  await run();
  const once = now();
  await run();
  const ns = now() - once;
  return { session, run, answer: { ns, load_ns: loadNS, peak: resident("VmHWM") - before } };
}

async function sample(run, least) {
  let calls = 0;
  const start = now();
  for (;;) {
    await run();
    calls++;
    const spent = now() - start;
    if (spent >= least) return spent / calls;
  }
}

async function main() {
  const [folder, threads] = process.argv.slice(1);
  const ort = require(path.join(folder, "node_modules", "onnxruntime-node"));
  answer({ ready: true });
  let current = null;
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const request = JSON.parse(line);
    if (request.file) {
      if (current) await current.session.release();
      current = await load(ort, Number(threads), request);
      answer(current.answer);
    } else {
      answer({ ns: await sample(current.run, request.min_ns) });
    }
  }
}

main().catch((error) => {
  answer({ error: String(error.message || error).split("\n")[0] });
  process.exitCode = 1;
});
