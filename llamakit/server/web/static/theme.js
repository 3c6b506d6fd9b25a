try{let{theme:t}=JSON.parse(localStorage.getItem("llamakit.settings")??"{}");(t==="light"||t==="dark")&&(document.documentElement.dataset.theme=t)}catch{}
