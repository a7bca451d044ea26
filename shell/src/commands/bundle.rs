//! `image list`, and `config list`, `show` and `check`.

use super::print;
use crate::access::{Needs, Role};
use crate::amount::{About, Bytes};
use crate::arguments::Arguments;
use crate::command::{Command, Count, Flow, Kind, Parameter, Switch};
use crate::context::Context;
use crate::error::Error;
use crate::host::ConfigSummary;
use crate::table::{self, Column};
use crate::task::jobs::Jobs;
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::fmt::Write;

const CONFIG: Parameter = Parameter { name: "CONFIG", count: Count::One, kind: Kind::Config };
const CHECK_SUMMARY: &str = "validate a configuration, without creating anything";

pub(super) const COMMANDS: &[Command] = &[
    Command {
        path: &["image", "list"],
        needs: Needs::Machine(Role::Viewer),
        parameters: &[],
        options: &[Switch::JSON],
        summary: "list the images that VMs can boot",
        details: "SOURCE is where they are: in the bundle that the boot loader handed over (initrd), or in one on a partition \
                  of a disk of the host. There is one on the partition with the label 'roost', or on those that \
                  roost.bundle=partition:LABEL of Roost's command line names.",
        example: "image list",
        run: images,
    },
    Command {
        path: &["config", "list"],
        needs: Needs::Machine(Role::Viewer),
        parameters: &[],
        options: &[Switch::JSON],
        summary: "list the VM configurations",
        details: "SOURCE is where they are, as in 'image list'. Their paths are paths of the same bundle; partition:LABEL/PATH is \
                  one of another. A configuration on a disk whose name is taken is called partition:LABEL/NAME.",
        example: "config list",
        run: list,
    },
    Command {
        path: &["config", "show"],
        needs: Needs::Machine(Role::Viewer),
        parameters: &[CONFIG],
        options: &[],
        summary: "show a configuration as it is written",
        details: "",
        example: "config show linux",
        run: show,
    },
    Command {
        path: &["config", "check"],
        needs: Needs::Machine(Role::Viewer),
        parameters: &[CONFIG],
        options: &[],
        summary: CHECK_SUMMARY,
        details: "An error names the file, the line, what was found and what is allowed. 'vm check' is the same.",
        example: "config check linux",
        run: check,
    },
    Command {
        path: &["vm", "check"],
        needs: Needs::Machine(Role::Viewer),
        parameters: &[CONFIG],
        options: &[],
        summary: CHECK_SUMMARY,
        details: "The same as 'config check'.",
        example: "vm check linux",
        run: check,
    },
];

fn images(context: &mut Context<'_>, arguments: &Arguments) -> Result<Flow, Error> {
    let images = context.host.images();
    print(context, arguments, &images, |context, images| {
        let rows: Vec<Vec<String>> = images
            .iter()
            .map(|image| {
                vec![
                    image.name.clone(),
                    About(image.size_bytes).to_string(),
                    image.kind.clone(),
                    image.source.clone(),
                ]
            })
            .collect();
        Ok(table::print(
            context.out,
            &["NAME", "SIZE", "KIND", "SOURCE"].map(|header| Column(header, 0)),
            &rows,
        )?)
    })?;
    Ok(Flow::Done)
}

fn list(context: &mut Context<'_>, arguments: &Arguments) -> Result<Flow, Error> {
    let configs = context.host.configs();
    print(context, arguments, &configs, |context, configs| {
        let rows: Vec<Vec<String>> = configs.iter().map(row).collect();
        let columns =
            ["NAME", "VCPUS", "MEMORY", "KERNEL", "SOURCE"].map(|header| Column(header, 0));
        table::print(context.out, &columns, &rows)?;
        for config in configs {
            if let Some(error) = &config.error {
                writeln!(context.out, "{} is not valid: {error}", config.name)?;
            }
        }
        Ok(())
    })?;
    Ok(Flow::Done)
}

fn row(config: &ConfigSummary) -> Vec<String> {
    if config.error.is_some() {
        return vec![
            config.name.clone(),
            "-".into(),
            "-".into(),
            "not valid".into(),
            config.source.clone(),
        ];
    }
    vec![
        config.name.clone(),
        config.vcpus.to_string(),
        Bytes(config.memory_bytes).to_string(),
        config.kernel.clone(),
        config.source.clone(),
    ]
}

fn show(context: &mut Context<'_>, arguments: &Arguments) -> Result<Flow, Error> {
    let text = context.host.config_text(arguments.required(0)?)?;
    for line in text.lines() {
        writeln!(context.out, "{line}")?;
    }
    Ok(Flow::Done)
}

fn check(context: &mut Context<'_>, arguments: &Arguments) -> Result<Flow, Error> {
    let name = arguments.required(0)?;
    let job = context.host.config_check(name)?;
    Ok(Flow::Wait(Box::new(Jobs::one(job))))
}
