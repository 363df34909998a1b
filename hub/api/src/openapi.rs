use utoipa::OpenApi;

use crate::handlers::{
    audit, deployments, device_ca, devices, invitations, operators, releases, renewal, sites,
    statements, status,
};

/// The description of the operator interface, OpenAPI 3.1 in JSON.
pub fn openapi() -> String {
    // Strings, numbers and maps with text keys always serialise.
    let mut text = Description::openapi().to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Ringfort operator interface",
        description = "REST and JSON over mutual TLS. The client certificate names the operator; \
                       its role decides what it may do. Every refusal carries a reason code.",
        license(name = "Apache-2.0 OR MIT")
    ),
    paths(
        status::healthy,
        status::metrics,
        status::status,
        status::description,
        status::acknowledge_restore,
        devices::list,
        devices::one,
        devices::history,
        devices::move_to,
        devices::give_command,
        devices::offline_order,
        devices::developer_products,
        devices::add_developer_product,
        statements::add,
        device_ca::certificates,
        device_ca::crl,
        sites::list,
        sites::add,
        sites::revoke,
        sites::import_batch,
        sites::add_anchors,
        sites::anchors,
        releases::put_object,
        releases::list,
        releases::add,
        deployments::list,
        deployments::create,
        deployments::one,
        deployments::targets,
        deployments::pause,
        deployments::resume,
        deployments::halt,
        audit::checkpoint,
        audit::entries,
        operators::list,
        operators::add,
        operators::remove,
        renewal::renew,
        renewal::settle,
        invitations::login,
        invitations::invite,
        invitations::list,
        invitations::withdraw,
        invitations::approvals
    )
)]
struct Description;
