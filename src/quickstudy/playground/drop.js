// A file that is chosen or dropped goes to Python as its name and its bytes; the server takes no files.
const LIMIT = 2_000_000;
const zone = element.querySelector("label"), input = element.querySelector("input");
async function take(file) {
  if (!file) return;
  const bytes = file.size > LIMIT ? null : new Uint8Array(await file.arrayBuffer());
  let text = "";
  for (let i = 0; bytes && i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  props.value = JSON.stringify({ name: file.name, size: file.size, content: bytes && btoa(text) });
  input.value = "";
  trigger("upload");
}
input.addEventListener("change", () => take(input.files[0]));
for (const kind of ["dragenter", "dragover", "dragleave", "drop"])
  zone.addEventListener(kind, (event) => {
    event.preventDefault();
    zone.classList.toggle("over", kind === "dragenter" || kind === "dragover");
    if (kind === "drop") take(event.dataTransfer.files[0]);
  });
