"use strict";
// Every text of the model is set by textContent, so that no name in a file can become part of the page.
const at = (id) => document.getElementById(id);
let token = "";
let model = null;
let image = null;

async function ask(path, options = {}) {
  const headers = { ...(options.headers || {}) };
  if (token) headers.Authorization = `Bearer ${token}`;
  const answer = await fetch(path, { ...options, headers });
  const told = await answer.json().catch(() => ({ error: `The service answered with status ${answer.status}.` }));
  return { status: answer.status, told };
}

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function control(field, id) {
  if (field.kind === "choice") {
    const options = field.choices.map((value, place) => element("option", { value: place, textContent: value }));
    return element("select", { id }, element("option", { value: "", textContent: "(not known)" }), ...options);
  }
  const type = { number: "number", date: "datetime-local" }[field.kind] || "text";
  return element("input", { id, type, ...(type === "number" ? { step: "any", placeholder: "not known" } : {}) });
}

function valueOf(field, id) {
  const text = at(id).value;
  if (field.kind === "text") return text;
  if (text === "") return null;
  if (field.kind === "choice") return field.choices[Number(text)];
  return field.kind === "number" ? Number(text) : text;
}

function imageField() {
  const input = element("input", { id: "image", type: "file", accept: "image/*", required: true });
  const hint = `Choose a file, or drop it here. The model takes ${model.shape.join(" x ")} with values from 0 to 255.`;
  const place = element("div", { className: "field wide drop" },
    element("label", { htmlFor: "image", textContent: "Image" }), input,
    element("p", { id: "hint", textContent: hint }), element("img", { id: "shown", alt: "The chosen image", hidden: true }));
  input.setAttribute("aria-describedby", "hint");
  const take = (file) => {
    image = file;
    at("shown").hidden = !file;
    if (file) at("shown").src = URL.createObjectURL(file);
  };
  input.addEventListener("change", () => take(input.files[0]));
  for (const kind of ["dragover", "dragleave", "drop"]) {
    place.addEventListener(kind, (event) => {
      event.preventDefault();
      place.classList.toggle("over", kind === "dragover");
      if (kind === "drop" && event.dataTransfer.files.length) {
        input.files = event.dataTransfer.files;
        take(input.files[0]);
      }
    });
  }
  return place;
}

function textField(label, help) {
  const area = element("textarea", { id: "text", required: true });
  area.setAttribute("aria-describedby", "help");
  return element("div", { className: "field wide" }, element("label", { htmlFor: "text", textContent: label }), area,
    element("small", { id: "help", textContent: help }));
}

function show(description) {
  model = description;
  at("name").textContent = document.title = model.name;
  const fields = at("fields");
  if (model.kind === "image") fields.append(imageField());
  else if (model.kind === "text") fields.append(textField("Text", "One text."));
  else if (model.kind === "rows") {
    fields.append(textField("One row as JSON", `Numbers in the shape ${JSON.stringify(model.shape)}, null is any size.`));
  } else {
    model.fields.forEach((field, place) => fields.append(element("div", { className: "field" },
      element("label", { htmlFor: `field-${place}`, textContent: field.name }), control(field, `field-${place}`))));
  }
  at("access").hidden = true;
  at("form").hidden = false;
}

async function open() {
  const { status, told } = await ask("form.json");
  at("error").textContent = status === 200 || (status === 401 && !token) ? "" : told.error;
  if (status === 200) show(told);
  else if (status === 401) {
    at("access").hidden = false;
    at("token").focus();
  }
}

function request() {
  if (model.kind === "image") return { headers: { "Content-Type": image.type || "image/png" }, body: image };
  let row;
  if (model.kind === "text") row = at("text").value;
  else if (model.kind === "rows") row = JSON.parse(at("text").value);
  else {
    const values = model.fields.map((field, place) => valueOf(field, `field-${place}`));
    row = model.kind === "numbers" ? values : Object.fromEntries(model.fields.map((field, i) => [field.name, values[i]]));
  }
  return { headers: { "Content-Type": "application/json" }, body: JSON.stringify([row]) };
}

function answered(told) {
  const rows = at("values");
  rows.replaceChildren();
  const outputs = (Array.isArray(told.predictions[0]) ? told.predictions[0] : [told.predictions[0]]).flat(Infinity);
  const names = model.classes.length === outputs.length ? model.classes : outputs.map((_, place) => place);
  outputs.slice(0, 1000).forEach((value, place) => {
    const text = typeof value === "number" ? Number(value.toPrecision(6)) : value;
    rows.append(element("tr", {}, element("th", { scope: "row", textContent: names[place] }),
      element("td", { textContent: text })));
  });
  const largest = outputs.indexOf(Math.max(...outputs));
  if (told.classes) at("class").textContent = String(told.classes.flat(Infinity)[0]);
  else at("class").textContent = outputs.length > 1 ? `The largest output is ${names[largest]}.` : "";
  at("status").textContent = told.sent ? `Sent: ${told.sent}.` : "Answered.";
  at("result").hidden = false;
  at("result").focus();
}

at("access").addEventListener("submit", (event) => {
  event.preventDefault();
  token = at("token").value;
  open();
});

at("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  at("error").textContent = "";
  at("result").hidden = true;
  at("status").textContent = "Predicting ...";
  at("send").disabled = true;
  try {
    const { status, told } = await ask("predict", { method: "POST", ...request() });
    if (status === 200) answered(told);
    else throw new Error(told.error);
  } catch (error) {
    at("status").textContent = "";
    at("error").textContent = error.message;
  }
  at("send").disabled = false;
});

open();
