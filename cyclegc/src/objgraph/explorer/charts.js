const WIDTH=900,HEIGHT=270,LEFT=74,BOTTOM=30,TOP=12;
// Round numbers from 0 to at least `most`.
function ticks(most){
  if(!(most>0))return [0,1];
  const rough=most/4,power=10**Math.floor(Math.log10(rough));
  const step=[1,2,2.5,5,10].map(f=>f*power).find(s=>s>=rough)||rough;
  const list=[];for(let at=0;at<most+step;at+=step)list.push(at);return list}
function frame(maxX,maxY,formatX,formatY){
  const yTicks=ticks(maxY),high=yTicks[yTicks.length-1];
  const x=value=>LEFT+(WIDTH-LEFT-16)*(maxX?value/maxX:.5),y=value=>HEIGHT-BOTTOM-(HEIGHT-BOTTOM-TOP)*value/high;
  const chart=svg("svg",{viewBox:`0 0 ${WIDTH} ${HEIGHT}`,width:"100%",role:"img"});
  for(const tick of yTicks)chart.append(svg("line",{class:"grid",x1:LEFT,x2:WIDTH-16,y1:y(tick),y2:y(tick)}),svg("text",{x:LEFT-8,y:y(tick)+4,"text-anchor":"end"},formatY(tick)));
  for(const tick of ticks(maxX).filter(t=>t<=maxX*1.001))chart.append(svg("text",{x:x(tick),y:HEIGHT-10,"text-anchor":"middle"},formatX(tick)));
  return {chart,x,y}}
const time=ms=>ms>=10000?(ms/1000).toFixed(0)+" s":ms>=1000?(ms/1000).toFixed(1)+" s":ms>=1||!ms?+ms.toFixed(1)+" ms":(ms*1000).toFixed(0)+" µs";
function growthView(view){
  if(!D.growth||!D.growth.length){view.append(el("div.card",{},el("div.empty",{},"No ClassTracker was given")));return}
  let kind=0;const off=new Set();
  const holder=el("div"),legend=el("div.legend"),names=D.growthTypes.slice(0,SERIES.length);
  const kinds=el("span.switch",{},["Objects","Bytes"].map((name,index)=>el("button",{onclick:()=>{kind=index;draw()}},name)));
  view.append(el("div.card",{},el("h2",{},"Growth over time"),el("div.tools",{},kinds),holder,legend));
  const rows=D.growth.map(([label,at,n,size,values])=>({label,at,values,all:[n,size]}));
  const format=value=>kind?bytes(Math.round(value)):count(Math.round(value));
  function draw(){
    [...kinds.children].forEach((button,index)=>button.setAttribute("aria-pressed",kind===index));
    const shown=names.map((_,index)=>index).filter(index=>!off.has(index));
    const value=(row,index)=>row.values[2*index+kind];
    const most=rows.reduce((most,row)=>shown.reduce((m,index)=>Math.max(m,value(row,index)),most),0);
    const last=rows[rows.length-1].at,{chart,x,y}=frame(last,most,time,format);
    for(const index of shown){
      chart.append(svg("polyline",{points:rows.map(row=>`${x(row.at)},${y(value(row,index))}`).join(" "),fill:"none",stroke:SERIES[index],"stroke-width":2.2,"stroke-linejoin":"round"}));
      if(rows.length<60)for(const row of rows)chart.append(svg("circle",{cx:x(row.at),cy:y(value(row,index)),r:3,fill:SERIES[index]}))}
    const cross=svg("line",{class:"cross",y1:TOP,y2:HEIGHT-BOTTOM,x1:-9,x2:-9});
    const hit=svg("rect",{class:"hit",x:LEFT,y:TOP,width:WIDTH-LEFT-16,height:HEIGHT-TOP-BOTTOM});
    chart.append(cross,hit);
    tipped(hit,event=>{
      const box=chart.getBoundingClientRect(),at=(event.clientX-box.left)/box.width*WIDTH;
      const near=rows.reduce((best,row)=>Math.abs(x(row.at)-at)<Math.abs(x(best.at)-at)?row:best);
      cross.setAttribute("x1",x(near.at));cross.setAttribute("x2",x(near.at));
      return `${near.label}, ${time(near.at)}\nall: ${format(near.all[kind])}\n`+shown.map(index=>`${names[index]}: ${format(value(near,index))}`).join("\n")});
    holder.replaceChildren(chart);
    legend.replaceChildren(...names.map((name,index)=>el("span"+(off.has(index)?".off":""),{onclick:()=>{off.has(index)?off.delete(index):off.add(index);draw()}},el("i",{style:`background:${SERIES[index]}`}),name)))}
  const first=rows[0],end=rows[rows.length-1];
  const change=(index,k)=>end.values[2*index+k]-first.values[2*index+k];
  const signed=(value,format)=>(value>0?"+":value<0?"−":"")+format(Math.abs(value));
  const changes=D.growthTypes.map((name,index)=>[name,end.values[2*index],change(index,0),change(index,1)]).sort((a,b)=>b[3]-a[3]);
  view.append(el("div.card",{},el("h2",{},`From “${first.label}” to “${end.label}”`),el("table",{},
    el("thead",{},el("tr",{},["Type","Objects","More objects","More bytes"].map((name,index)=>el(index?"th.n":"th",{},name)))),
    el("tbody",{},changes.map(([name,now,n,size])=>el("tr",{},el("td.name",{},name),el("td.n",{},count(now)),el("td.n",{},signed(n,count)),el("td.n",{},signed(size,bytes))))))));
  view.onshow=draw}
const AGE_COLORS=["#7bc47f","#f0b429","#d64545","#9aa5b1","#829ab1"];
function collectorView(view){
  const all=D.generations.reduce((sum,[n])=>sum+n,0);
  view.append(el("div.card",{},el("h2",{},"Objects by generation"),
    el("div.stack",{},D.generations.map(([n,size],age)=>tipped(el("div",{style:`flex:${n};background:${AGE_COLORS[age]}`}),`${AGES[age]}: ${count(n)} objects, ${bytes(size)}`))),
    el("div.legend",{},D.generations.map(([n,size],age)=>el("span",{},el("i",{style:`background:${AGE_COLORS[age]}`}),`${AGES[age]}: ${count(n)} (${percent(n,all)}), ${bytes(size)}`)))));
  const pauses=D.pauses||[];
  if(!pauses.length){view.append(el("div.card",{},el("div.empty",{},D.pauses?"Nothing was collected":"No CollectorLog was given")));return}
  const last=pauses[pauses.length-1][0],{chart,x,y}=frame(last,pauses.reduce((most,p)=>Math.max(most,p[2]),0)/1000,time,time);
  // Of pauses at one place only the longest is drawn.
  const longest=new Map();
  for(const pause of pauses){const key=Math.round(x(pause[0])*2)+":"+pause[1],known=longest.get(key);if(!known||known[2]<pause[2])longest.set(key,pause)}
  for(const [at,generation,duration,candidates,collected] of [...longest.values()].sort((a,b)=>a[1]-b[1])){
    const line=svg("line",{x1:x(at),x2:x(at),y1:y(0),y2:Math.min(y(duration/1000),y(0)-1),stroke:AGE_COLORS[generation],"stroke-width":generation===2?4:2.5,"stroke-linecap":"round"});
    chart.append(tipped(line,`${AGES[generation]} generation, after ${time(at)}\n${time(duration/1000)}; ${count(candidates)} looked at, ${count(collected)} collected`))}
  const summary=[0,1,2].map(generation=>{
    const of=pauses.filter(p=>p[1]===generation).map(p=>p[2]/1000).sort((a,b)=>a-b),sum=key=>pauses.filter(p=>p[1]===generation).reduce((s,p)=>s+p[key],0);
    const dash=of.length?time:()=>"–";
    return el("tr",{},el("td",{},el("span.legend",{},el("span",{},el("i",{style:`background:${AGE_COLORS[generation]}`}),AGES[generation]))),el("td.n",{},count(of.length)),
      el("td.n",{},count(sum(3))),el("td.n",{},count(sum(4))),el("td.n",{},dash(of[of.length>>1])),el("td.n",{},dash(of[Math.min(of.length-1,Math.floor(of.length*.99))])),el("td.n",{},dash(of[of.length-1])),el("td.n",{},dash(of.reduce((s,t)=>s+t,0))))});
  view.append(el("div.card",{},el("h2",{},"Pauses"),el("p.note",{},"Each line is a collection: how long the program waited for it."),chart),
    el("div.card",{},el("table",{},el("thead",{},el("tr",{},["Generation","Collections","Looked at","Collected","Median","99 %","Longest","Together"].map((name,index)=>el(index?"th.n":"th",{},name)))),el("tbody",{},summary))))}
