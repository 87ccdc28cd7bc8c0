const D=JSON.parse(document.getElementById("data").textContent);
const [TYPE,ID,SIZE,RETAINED,HANDLES,OUTSIDE,FLAGS,DOMINATOR,DOMINATED,FROM,FROM_LINK,LINKS,REFERRERS,STACK]=Array(14).keys();
const AGES=["young","middle","old","frozen","untracked"];
const FINALIZER=8,HIDES=16,SAVED=32,GARBAGE=64;
const count=n=>n.toLocaleString("en-US");
function bytes(n){if(n<1024)return n+" B";let u=-1;do{n/=1024;u++}while(n>=1024&&u<3);return n.toFixed(n<10?2:n<100?1:0)+" "+["KiB","MiB","GiB","TiB"][u]}
const percent=(part,all)=>all?(100*part/all).toFixed(part/all<.1?1:0)+" %":"0 %";
// An element: tag.class, attributes and listeners, children.
function el(tag,attributes,...children){
  const [name,...classes]=tag.split(".");
  const element=document.createElement(name||"div");
  if(classes.length)element.className=classes.join(" ");
  for(const [key,value] of Object.entries(attributes||{})){
    if(key.startsWith("on"))element.addEventListener(key.slice(2),value);
    else if(key==="style")element.style.cssText=value;
    else if(value!==false&&value!=null)element.setAttribute(key,value===true?"":value)}
  element.append(...children.flat().filter(child=>child!=null&&child!==false));
  return element}
function svg(tag,attributes,...children){
  const element=document.createElementNS("http://www.w3.org/2000/svg",tag);
  for(const [key,value] of Object.entries(attributes||{})){
    if(key.startsWith("on"))element.addEventListener(key.slice(2),value);else element.setAttribute(key,value)}
  element.append(...children);
  return element}
const tip=document.getElementById("tip");
function tipped(element,text){
  element.addEventListener("mousemove",event=>{
    tip.textContent=typeof text==="function"?text(event):text;tip.hidden=!tip.textContent;
    tip.style.left=Math.min(event.clientX+14,innerWidth-tip.offsetWidth-8)+"px";
    tip.style.top=Math.min(event.clientY+14,innerHeight-tip.offsetHeight-8)+"px"});
  element.addEventListener("mouseleave",()=>{tip.hidden=true});
  return element}
// A color for a name, always the same.
function color(name){let hash=7;for(const c of name)hash=(hash*31+c.codePointAt(0))>>>0;
  return `hsl(${hash%360} ${52+hash%17}% ${72+(hash>>>9)%9}%)`}
const SERIES=["#2e7ac2","#d9822b","#3f9c4a","#b6404f","#7d5bb5","#1b9aaa","#a67c1b","#c2559d","#5c7080","#89a53a"];
const typeName=node=>D.types[node[TYPE]][0];
const label=node=>typeName(node)+" #"+node[ID];
const referencesOf=D.nodes.map(()=>[]),referrersOf=D.nodes.map(()=>[]),dominatedBy=D.nodes.map(()=>[]),top_=[];
for(const link of D.links){referencesOf[link[0]].push(link);referrersOf[link[1]].push(link)}
D.nodes.forEach((node,place)=>{(node[DOMINATOR]<0?top_:dominatedBy[node[DOMINATOR]]).push(place)});
// Nodes come largest first, so that these lists do, too.
const placeOfId=new Map(D.nodes.map((node,place)=>[node[ID],place]));
function tags(node){return [
  node[OUTSIDE]>0&&el("span.tag.root",{},node[OUTSIDE]===1?"1 handle outside":count(node[OUTSIDE])+" handles outside"),
  node[FLAGS]&SAVED?el("span.tag.bad",{},"saved garbage"):node[FLAGS]&GARBAGE?el("span.tag.bad",{},"garbage"):null,
  node[FLAGS]&FINALIZER?el("span.tag",{},"finalizer"):null,
  node[FLAGS]&HIDES?el("span.tag",{},"borrowed cell"):null]}
function objectLink(place){
  const node=D.nodes[place];
  return el("a.obj",{onclick:event=>{event.stopPropagation();inspect(place)}},typeName(node)," ",el("span.id",{},"#"+node[ID]))}
