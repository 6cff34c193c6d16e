//! A directed graph and its shortest cycles.

use std::collections::VecDeque;

pub type Node = usize;

/// Of a large component only so many nodes are tried: the cycle found is short, if not the shortest.
const TRIED_MAX: usize = 300;

pub struct Graph<E> {
    edges: Vec<Vec<(Node, E)>>,
}

impl<E: Copy> Graph<E> {
    pub fn new() -> Graph<E> {
        Graph { edges: Vec::new() }
    }

    pub fn add_node(&mut self) -> Node {
        self.edges.push(Vec::new());
        self.edges.len() - 1
    }

    /// An edge from a node to itself says nothing.
    pub fn add_edge(&mut self, from: Node, to: Node, edge: E) {
        if from != to {
            self.edges[from].push((to, edge));
        }
    }

    /// A cycle in each strongly connected component, of the least weight: each edge with its
    /// origin.
    pub fn cycles(&self, weight: impl Fn(E) -> usize) -> Vec<Vec<(Node, E)>> {
        let components = self.components();
        let mut of = vec![0; self.edges.len()];
        for (number, component) in components.iter().enumerate() {
            component.iter().for_each(|&node| of[node] = number);
        }
        let cycles = components.iter().filter(|c| c.len() > 1).filter_map(|c| {
            let tried = c.iter().take(TRIED_MAX);
            let through = tried.filter_map(|&node| self.cycle_through(node, &of));
            through.min_by_key(|c| c.iter().map(|(_, edge)| weight(*edge)).sum::<usize>())
        });
        cycles.collect()
    }

    /// The shortest cycle from a node back to itself, within its component.
    fn cycle_through(&self, start: Node, component_of: &[usize]) -> Option<Vec<(Node, E)>> {
        let mut came_by: Vec<Option<(Node, E)>> = vec![None; self.edges.len()];
        let mut queue = VecDeque::from([start]);
        while let Some(node) = queue.pop_front() {
            for &(to, edge) in &self.edges[node] {
                if component_of[to] != component_of[start] || came_by[to].is_some() {
                    continue;
                }
                came_by[to] = Some((node, edge));
                if to == start {
                    return Some(path_back(start, &came_by));
                }
                queue.push_back(to);
            }
        }
        None
    }

    /// The strongly connected components, by Tarjan's algorithm without recursion.
    fn components(&self) -> Vec<Vec<Node>> {
        const UNSEEN: usize = usize::MAX;
        let count = self.edges.len();
        let (mut index, mut low) = (vec![UNSEEN; count], vec![0; count]);
        let mut is_open = vec![false; count];
        let (mut open, mut next) = (Vec::new(), 0);
        let mut components = Vec::new();
        for root in 0..count {
            if index[root] != UNSEEN {
                continue;
            }
            // Each node on the way with the number of its edges that are done.
            let mut way = vec![(root, 0)];
            while let Some((node, done)) = way.last_mut() {
                let node = *node;
                if *done == 0 {
                    (index[node], low[node]) = (next, next);
                    next += 1;
                    open.push(node);
                    is_open[node] = true;
                }
                if let Some(&(to, _)) = self.edges[node].get(*done) {
                    *done += 1;
                    if index[to] == UNSEEN {
                        way.push((to, 0));
                    } else if is_open[to] {
                        low[node] = low[node].min(index[to]);
                    }
                    continue;
                }
                way.pop();
                if let Some(&(parent, _)) = way.last() {
                    low[parent] = low[parent].min(low[node]);
                }
                if low[node] == index[node] {
                    let start = open.iter().rposition(|&n| n == node).unwrap();
                    let component = open.split_off(start);
                    component.iter().for_each(|&n| is_open[n] = false);
                    components.push(component);
                }
            }
        }
        components
    }
}

fn path_back<E: Copy>(start: Node, came_by: &[Option<(Node, E)>]) -> Vec<(Node, E)> {
    let mut path = Vec::new();
    let mut at = start;
    loop {
        let (from, edge) = came_by[at].unwrap();
        path.push((from, edge));
        at = from;
        if at == start {
            break;
        }
    }
    path.reverse();
    path
}
