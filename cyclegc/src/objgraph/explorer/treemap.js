// Squarified: rows of rectangles, each as near to a square as its row allows.
function squarify(items,x,y,w,h,place){
  let rest=items.reduce((sum,item)=>sum+item.value,0),start=0;
  while(start<items.length&&rest>0&&w>0&&h>0){
    const scale=w*h/rest,side=Math.min(w,h);
    let sum=0,end=start,worst=Infinity;
    while(end<items.length){
      const next=sum+items[end].value*scale,least=items[end].value*scale,most=items[start].value*scale;
      const ratio=Math.max(side*side*most/(next*next),next*next/(side*side*least));
      if(ratio>worst)break;
      worst=ratio;sum=next;end++}
    const thickness=sum/side;let offset=0;
    for(;start<end;start++){
      const length=items[start].value*scale/thickness;
      if(w<h)place(items[start],x+offset,y,length,thickness);else place(items[start],x,y+offset,thickness,length);
      offset+=length;rest-=items[start].value}
    if(w<h){y+=thickness;h-=thickness}else{x+=thickness;w-=thickness}}}
function drawMap(map,items){
  map.replaceChildren();
  items=items.filter(item=>item.value>0).sort((a,b)=>b.value-a.value);
  const all=items.reduce((sum,item)=>sum+item.value,0);
  // What would be smaller than a few pixels is one rectangle.
  const least=all/(map.clientWidth*map.clientHeight)*60,large=items.filter(item=>item.value>=least),small=items.filter(item=>item.value<least);
  if(small.length)large.push({name:count(small.length)+" more",value:small.reduce((s,i)=>s+i.value,0),plain:true});
  large.sort((a,b)=>b.value-a.value);
  squarify(large,0,0,map.clientWidth,map.clientHeight,(item,x,y,w,h)=>{
    const box=el("div",{style:`left:${x}px;top:${y}px;width:${w}px;height:${h}px;background:${item.plain?"#cbd2d9":color(item.color||item.name)}`,onclick:item.open});
    if(w>46&&h>20)box.append(item.name);
    if(w>60&&h>38)box.append(el("small",{},bytes(item.value)+", "+percent(item.value,all)));
    map.append(tipped(box,`${item.name}\n${bytes(item.value)}, ${percent(item.value,all)}${item.more?"\n"+item.more:""}`))})}
function treemapView(view){
  let mode="type",way=[];
  const map=el("div.map"),crumbs=el("div.crumbs"),note=el("p.note");
  const modes=el("span.switch",{},["type","retained"].map(name=>el("button",{onclick:()=>{mode=name;way=[];draw()}},name==="type"?"Bytes by type":"Retained by object")));
  view.append(el("div.card",{},el("div.tools",{},modes,crumbs),note,map));
  function draw(){
    [...modes.children].forEach((button,index)=>button.setAttribute("aria-pressed",(mode==="type")===(index===0)));
    crumbs.replaceChildren();
    if(mode==="type"){
      note.textContent="Each area is the bytes of all objects of a type, with the buffers they own. A click lists its objects.";
      drawMap(map,D.types.map(([short,full,n,size])=>({name:short,value:size,more:count(n)+" objects\n"+full,open:()=>listObjects(short)})));
      return}
    note.textContent="Each area is what would be free if an object went: the object and all that only it keeps alive. A click goes into it.";
    const crumb=(text,length)=>el("button",{onclick:()=>{way.length=length;draw()}},text);
    crumbs.append(crumb("all",0));
    way.forEach((place,index)=>crumbs.append(" › ",crumb(label(D.nodes[place]),index+1)));
    const here=way[way.length-1],inside=way.length?dominatedBy[here]:top_;
    const items=inside.map(place=>{const node=D.nodes[place];
      return {name:label(node),color:typeName(node),value:node[RETAINED],more:`${bytes(node[SIZE])} itself`,
        open:()=>{inspect(place);if(node[DOMINATED]){way.push(place);draw()}}}});
    const known=items.reduce((sum,item)=>sum+item.value,0);
    const own=way.length?D.nodes[here][SIZE]:0,all=way.length?D.nodes[here][RETAINED]:D.bytes;
    if(own)items.push({name:"itself",value:own,plain:true});
    if(all-own-known>0)items.push({name:"smaller objects",value:all-own-known,plain:true});
    drawMap(map,items)}
  view.onshow=draw;
  addEventListener("resize",()=>{if(!view.hidden)draw()})}
function typesView(view){
  const columns=[["Type",0],["Objects",2],["Bytes",3],["Each",4]];
  let by=3,down=true;
  const body=el("tbody"),search=el("input",{type:"search",placeholder:"Filter types",oninput:draw});
  const head=el("tr",{},columns.map(([name,key])=>el("th.sort"+(key?".n":""),{onclick:()=>{down=by===key?!down:key>0;by=key;draw()}},name)),el("th",{},"Share of bytes"));
  view.append(el("div.card",{},el("div.tools",{},search),el("table",{},el("thead",{},head),body)));
  function draw(){
    const text=search.value.toLowerCase();
    const rows=D.types.map(row=>[...row,row[3]/row[2]]).filter(row=>row[1].toLowerCase().includes(text));
    rows.sort((a,b)=>(a[by]<b[by]?-1:a[by]>b[by]?1:0)*(down?-1:1));
    body.replaceChildren(...rows.slice(0,500).map(row=>tipped(el("tr.row",{onclick:()=>listObjects(row[0])},
      el("td.name",{},row[0]),el("td.n",{},count(row[2])),el("td.n",{},bytes(row[3])),el("td.n",{},bytes(Math.round(row[4]))),
      el("td.barcell",{},el("span.bar",{style:`width:${100*row[3]/D.bytes}px`})," ",percent(row[3],D.bytes))),row[1])))}
  view.onshow=draw}
