const fact_=(name,value)=>el("div",{},el("dt",{},name),el("dd",{},value));
document.getElementById("totals").append(
  fact_("objects",count(D.objects)),fact_("links",count(D.linkCount)),fact_("bytes",bytes(D.bytes)),
  fact_("held from outside",count(D.roots)),fact_("garbage",D.garbage[0]?`${count(D.garbage[0])}, ${bytes(D.garbage[1])}`:"none"),
  D.nodes.length<D.objects?fact_("objects on this page",count(D.nodes.length)):"",
  D.hiding?fact_("objects with borrowed cells",count(D.hiding)):"");
const VIEWS={Objects:objectsView,Treemap:treemapView,Types:typesView,Cycles:cyclesView,Growth:growthView,Collector:collectorView};
const tabs=document.getElementById("tabs"),views=document.getElementById("views"),made={};
for(const [name,make] of Object.entries(VIEWS)){
  const view=el("section",{role:"tabpanel",hidden:true});
  views.append(view);made[name]=view;make(view);
  tabs.append(el("button",{role:"tab",onclick:()=>show(name)},name))}
function show(name){
  for(const [other,view] of Object.entries(made))view.hidden=other!==name;
  for(const button of tabs.children)button.setAttribute("aria-selected",button.textContent===name);
  if(made[name].onshow)made[name].onshow();
  history.replaceState(null,"","#"+name)}
const wanted=decodeURIComponent(location.hash.slice(1)).split("/");
show(made[wanted[0]]?wanted[0]:"Objects");
if(placeOfId.has(+wanted[1]))inspect(placeOfId.get(+wanted[1]));
