//! Makes directories deeper than any path can name, each through the handle of
//! the one above.

use cofferdam_hostile::opened;
use cofferdam_sdk::{Context, Failure, task};
use wasip2::filesystem::types::{DescriptorFlags, OpenFlags, PathFlags};

task!("deep/task.yaml", run);

fn run(_: &Context, params: Params, _: Inputs, _: Outputs) -> Result<Results, Failure> {
    let number = |text: &str| text.parse::<usize>().map_err(|_| Failure::new("NoNumber", text));
    let name = "d".repeat(number(&params.length)?);
    let mut at = opened(match params.root {
        Root::Output => "/outputs/out",
        Root::Scratch => "/scratch",
    })?;
    let flags = DescriptorFlags::READ | DescriptorFlags::MUTATE_DIRECTORY;
    let mut made = 0;
    while made < number(&params.levels)? {
        let next = at
            .create_directory_at(&name)
            .and_then(|()| at.open_at(PathFlags::empty(), &name, OpenFlags::DIRECTORY, flags));
        match next {
            Ok(next) => at = next,
            Err(code) => return Err(Failure::new("Refused", format!("{} after {made}", code.name()))),
        }
        made += 1;
    }
    Ok(Results { levels: made.to_string() })
}
