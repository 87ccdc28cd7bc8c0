const PAGE=100;
let selected=-1,listObjects=()=>{};
// The dominator tree as a table whose rows open.
function objectsView(view){
  const body=el("tbody"),search=el("input",{type:"search",placeholder:"Type or #number",oninput:()=>draw()});
  const note=el("p.note",{},"What each object retains: its bytes and those of all that only it keeps alive. Open a row to see what these are; click it to see why it is alive.");
  view.append(el("div.card",{},el("div.tools",{},search),note,el("table",{},el("thead",{},el("tr",{},el("th",{},"Object"),el("th.n",{},"Retained"),el("th",{},"Share"),el("th.n",{},"Itself"),el("th.n",{},"Handles"))),body)));
  function row(place,depth){
    const node=D.nodes[place],inside=dominatedBy[place];
    let below=null;
    const twist=el("button.twist",{"aria-label":"open",onclick:event=>{event.stopPropagation();toggle()}},node[DOMINATED]?"▸":"");
    const tr=el("tr.row",{"data-place":place,onclick:()=>inspect(place)},
      el("td.name",{style:`padding-left:${8+18*Math.min(depth,30)}px`},twist,typeName(node)," ",el("span.id",{},"#"+node[ID]),tags(node)),
      el("td.n",{},bytes(node[RETAINED])),
      el("td.barcell",{},el("span.bar",{style:`width:${100*node[RETAINED]/D.bytes}px`})," ",percent(node[RETAINED],D.bytes)),
      el("td.n",{},bytes(node[SIZE])),el("td.n",{},count(node[HANDLES])));
    if(place===selected)tr.classList.add("on");
    function toggle(){
      if(!node[DOMINATED])return;
      if(below){below.forEach(r=>r.close?r.close():0);below.forEach(r=>r.remove());below=null;twist.textContent="▸";return}
      twist.textContent="▾";
      const missing=node[DOMINATED]-inside.length;
      const known=inside.reduce((sum,p)=>sum+D.nodes[p][RETAINED],0);
      below=rows(inside,depth+1);
      if(missing>0)below.push(rest(missing,node[RETAINED]-node[SIZE]-known,depth+1));
      tr.after(...below)}
    tr.close=()=>{if(below)toggle()};
    tr.toggle=toggle;
    return tr}
  function rest(missing,size,depth){
    return el("tr",{},el("td.name",{style:`padding-left:${26+18*Math.min(depth,30)}px`},el("span.id",{},count(missing)+(missing===1?" smaller object":" smaller objects"))),el("td.n",{},bytes(size)),el("td"),el("td"),el("td"))}
  function rows(places,depth,from=0){
    const shown=places.slice(from,from+PAGE).map(place=>row(place,depth));
    if(places.length>from+PAGE){
      const more=el("tr",{},el("td",{colspan:5},el("button.more",{onclick:()=>more.replaceWith(...rows(places,depth,from+PAGE))},`${count(places.length-from-PAGE)} more`)));
      shown.push(more)}
    return shown}
  function draw(){
    const text=search.value.trim();
    let places=top_;
    if(text){
      const number=text.match(/^#(\d+)$/),lower=text.toLowerCase();
      places=number?[placeOfId.get(+number[1])].filter(p=>p!==undefined)
        :D.nodes.map((_,place)=>place).filter(place=>D.types[D.nodes[place][TYPE]].some(t=>typeof t==="string"&&t.toLowerCase().includes(lower)))}
    body.replaceChildren(...rows(places,0));
    if(!text){
      const known=top_.reduce((sum,p)=>sum+D.nodes[p][RETAINED],0);
      if(D.bytes>known)body.append(rest(D.objects-D.nodes.length,D.bytes-known,-1))}
    if(!places.length)body.append(el("tr",{},el("td.empty",{colspan:5},"No such object on this page")));
    const first=body.firstElementChild;
    if(!text&&first&&first.toggle)first.toggle()}
  view.onshow=draw;
  listObjects=text=>{search.value=text;show("Objects")}}
function inspect(place){
  selected=place;
  document.querySelectorAll("tr.on").forEach(tr=>tr.classList.remove("on"));
  document.querySelectorAll(`tr[data-place="${place}"]`).forEach(tr=>tr.classList.add("on"));
  const node=D.nodes[place],[,full]=D.types[node[TYPE]];
  const fact=(name,value)=>[el("dt",{},name),el("dd",{},value)];
  const panel=document.getElementById("inspector");
  panel.hidden=false;
  panel.replaceChildren(el("div",{},
    el("button.close",{"aria-label":"close",onclick:()=>{panel.hidden=true;dispatchEvent(new Event("resize"))}},"×"),
    el("h2",{style:"padding-right:24px"},typeName(node)," ",el("span.id",{},"#"+node[ID])),
    el("p.note",{style:"overflow-wrap:anywhere"},full),
    el("dl.facts",{},fact("Retains",`${bytes(node[RETAINED])} (${percent(node[RETAINED],D.bytes)})`),fact("Itself",bytes(node[SIZE])),
      fact("Handles",`${count(node[HANDLES])}, ${count(node[OUTSIDE])} of them outside`),fact("Generation",AGES[node[FLAGS]&7]),
      node[DOMINATOR]>=0?fact("Goes with",objectLink(node[DOMINATOR])):null),
    el("div",{style:"margin:8px 0 0 -6px"},tags(node)),
    el("h3",{},"Why it is alive"),whyAlive(place),
    el("h3",{},"Who refers to it"),tree(place,referrersOf,0,REFERRERS),
    el("h3",{},"What it refers to"),tree(place,referencesOf,1,LINKS),
    node[STACK].length?[el("h3",{},"Where it was made"),node[STACK].map(frame=>el("div.frame",{},frame))]:null));
  dispatchEvent(new Event("resize"))}
function whyAlive(place){
  const node=D.nodes[place];
  if(node[FLAGS]&GARBAGE)return el("p.note",{},node[FLAGS]&SAVED?"It is garbage that was saved: take_garbage lets it go.":"It is not: no handle from outside leads to it. It is garbage that waits for the collector.");
  const steps=[];
  for(let here=place;here>=0;here=D.nodes[here][FROM]){
    steps.unshift([here,steps.length?D.nodes[steps[0][0]][FROM_LINK]:""]);
    if(steps.length>60)break}
  const first=D.nodes[steps[0][0]],list=el("ul.chain");
  if(!first[OUTSIDE])list.append(el("li",{},el("span.id",{},"objects that are not on this page")));
  for(const [here,link] of steps)list.append(el("li",{},objectLink(here),D.nodes[here][OUTSIDE]?tags(D.nodes[here])[0]:"",link?el("div.link",{},link):""));
  return list}
// Links that open, over and over: objects that were opened above are not opened again.
function tree(place,lists,end,total){
  const list=(here,above)=>{
    const links=lists[here],ul=el("ul.tree"+(above.length?"":".top"));
    for(const link of links.slice(0,PAGE)){
      const there=link[end],open=lists[there].length>0&&!above.includes(there);
      const li=el("li");let below=null;
      const twist=el("button.twist",{onclick:()=>{
        if(below){below.remove();below=null}else{below=list(there,[...above,here,there]);li.append(below)}
        twist.textContent=below?"▾":"▸"}},open?"▸":"");
      li.append(open?twist:el("span.twist",{},above.includes(there)?"↺":""),objectLink(there)," ",el("span.link",{},link[2]),
        link[3]?el("span.tag",{},"weak"):"",D.nodes[there][OUTSIDE]?el("span.tag.root",{},"outside"):"");
      ul.append(li)}
    const missing=D.nodes[here][total]-Math.min(links.length,PAGE);
    if(missing>0)ul.append(el("li.id",{},`${count(missing)} more`));
    if(!ul.children.length)ul.append(el("li.id",{},"nothing"));
    return ul};
  return list(place,[])}
function cyclesView(view){
  if(!D.cycles.length){view.append(el("div.card",{},el("div.empty",{},"No objects refer to each other in a circle")));return}
  view.append(el("p.note",{},"Objects that all reach each other: counting alone cannot free them. Cycles of the same shape are shown once, with the shortest circle."));
  for(const group of D.cycles){
    const steps=group.steps.map(([name,id,link])=>el("li",{},placeOfId.has(id)?objectLink(placeOfId.get(id)):[name," ",el("span.id",{},"#"+id)],el("div.link",{},link)));
    const [name,id]=group.steps[0];
    view.append(el("div.card",{},
      el("h2",{},`${count(group.count)} × ${group.steps.length===1?"an object that refers to itself":group.steps.length+" objects in a circle"}`,
        group.saved?el("span.tag.bad",{},"saved garbage"):group.garbage?el("span.tag.bad",{},"garbage"):el("span.tag.root",{},"alive")),
      el("p.note",{},`${count(group.objects)} objects, ${bytes(group.bytes)}`),
      el("ul.chain",{},steps,el("li",{},`${name} `,el("span.id",{},"#"+id+" again")))))}}
