//! stub
use super::graph::ObjectGraph;
/// x
#[derive(Debug)]
pub struct Explorer<'a>(&'a ObjectGraph);
impl<'a> Explorer<'a> {
    /// x
    pub fn new(g: &'a ObjectGraph) -> Self {
        Explorer(g)
    }
    /// x
    pub fn write(&self, _o: &mut impl std::io::Write) -> std::io::Result<()> {
        Ok(())
    }
}
