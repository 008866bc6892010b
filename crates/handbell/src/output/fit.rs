//! How wide the columns of a table may be, so that a row is one line of the
//! terminal.

/// A column that is cut stays at least so wide, if there is room at all.
const LEAST: usize = 8;

/// Shrinks `widths` until they and the gaps between them fit into `room`.
/// The widest go first; those that are `kept` (IDs, which are of no use when
/// cut) only when all others are down to [`LEAST`].
pub(super) fn fit(widths: &mut [usize], kept: &[bool], gap: usize, room: usize) {
    let gaps = gap * widths.len().saturating_sub(1);
    for keeps in [true, false] {
        while widths.iter().sum::<usize>() + gaps > room {
            let open = |at: &usize| widths[*at] > LEAST && !(keeps && kept[*at]);
            let Some(widest) = (0..widths.len()).filter(open).max_by_key(|at| widths[*at]) else { break };
            widths[widest] -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fitted(widths: &[usize], kept: &[bool], room: usize) -> Vec<usize> {
        let mut widths = widths.to_vec();
        fit(&mut widths, kept, 2, room);
        widths
    }

    #[test]
    fn what_fits_is_left_alone() {
        assert_eq!(fitted(&[10, 20], &[false, false], 32), [10, 20]);
    }

    #[test]
    fn the_widest_shrink_first_and_ids_last() {
        assert_eq!(fitted(&[30, 12, 20], &[false; 3], 54), [19, 12, 19]);
        assert_eq!(fitted(&[30, 36, 20], &[false, true, false], 60), [10, 36, 10]);
        assert_eq!(fitted(&[30, 36, 20], &[false, true, false], 40), [8, 20, 8]);
    }

    #[test]
    fn nothing_is_cut_away_altogether() {
        assert_eq!(fitted(&[30, 3], &[false; 2], 5), [8, 3]);
    }
}
