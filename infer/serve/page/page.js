"use strict";

const drop = document.getElementById("drop");
const file = document.getElementById("file");
const preview = document.getElementById("preview");
const status = document.getElementById("status");
const table = document.getElementById("classes");

let latest = 0; // answers to older pictures are dropped

function say(text, error) {
  status.textContent = text;
  status.classList.toggle("error", Boolean(error));
}

function show(classes) {
  table.tBodies[0].replaceChildren(...classes.map((c) => {
    const row = document.createElement("tr");
    const name = document.createElement("td");
    name.textContent = c.name;
    const probability = document.createElement("td");
    const meter = document.createElement("meter");
    meter.value = c.probability;
    meter.ariaHidden = "true";
    probability.append(meter, (100 * c.probability).toFixed(2) + " %");
    row.append(name, probability);
    return row;
  }));
  table.hidden = false;
}

async function classify(picture, name) {
  const mine = ++latest;
  table.hidden = true;
  if (preview.src) URL.revokeObjectURL(preview.src);
  preview.src = URL.createObjectURL(picture);
  preview.alt = name;
  preview.hidden = false;
  say("Classifying " + name + " ...");
  const start = performance.now();
  try {
    const response = await fetch("classify", {
      method: "POST", body: picture, headers: { "Content-Type": picture.type || "application/octet-stream" },
    });
    const answer = await response.json();
    if (mine !== latest) return;
    if (!response.ok) throw new Error(answer.error);
    show(answer.classes);
    say(name + ": " + Math.round(performance.now() - start) + " ms");
  } catch (error) {
    if (mine !== latest) return;
    say(name + ": " + error.message, true);
  }
}

function first(files) {
  if (files.length > 0) classify(files[0], files[0].name);
}

// sample draws a bright disc on a dark ground.
function sample() {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 128;
  const c = canvas.getContext("2d");
  c.fillStyle = "#223";
  c.fillRect(0, 0, 128, 128);
  c.fillStyle = "#fc4";
  c.arc(64, 64, 44, 0, 2 * Math.PI);
  c.fill();
  canvas.toBlob((picture) => classify(picture, "sample.png"), "image/png");
}

preview.addEventListener("error", () => { preview.hidden = true; });
file.addEventListener("change", () => {
  first(file.files);
  file.value = ""; // the same file may be chosen again
});
document.getElementById("sample").addEventListener("click", sample);
document.addEventListener("paste", (event) => first(event.clipboardData.files));
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  drop.classList.add("over");
});
document.addEventListener("dragleave", () => drop.classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  first(event.dataTransfer.files);
});
if (new URLSearchParams(location.search).has("sample")) sample();
