# SPDX-License-Identifier: Apache-2.0
"""Let a photo that is dropped on the page be opened.

viser has an upload button and no place to drop files. The element below hands what is dropped anywhere on the page to
the button's own input, as if it had been chosen there. Scripts in added HTML do not run, but an element's handlers do:
an image without a source fails at once, and its handler installs the two listeners, once.
"""

DROP_HTML = """
<img src="data:," alt="" style="display:none" onerror="
  if (window.facefactorDrop) return;
  window.facefactorDrop = true;
  window.addEventListener('dragover', event => event.preventDefault());
  window.addEventListener('drop', event => {
    event.preventDefault();
    const input = document.querySelector('input[type=file]');
    if (!input || !event.dataTransfer.files.length) return;
    input.files = event.dataTransfer.files;
    input.dispatchEvent(new Event('change', { bubbles: true }));
  });
">
<small>or drop a photo anywhere on the page</small>
"""
